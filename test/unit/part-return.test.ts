/** Parts of a fragment on their way back, also those of a part. */
import { setImmediate as immediate } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { Batch } from '../../dist/receive/batch.js';
import { Lease, type Lessor } from '../../dist/receive/lease.js';
import { SharedFragment } from '../../dist/receive/shared-fragment.js';

const BYTES = 100_000;

/** A fragment whose bytes are counted as they come back, and how often all of it did. */
function fragment() {
  const returned = new Uint8Array(BYTES);
  let whole = 0;
  const end = (): void => {
    whole++;
  };
  const lessor: Lessor = {
    uncloneable: Symbol('test'),
    releaseRange: end,
    releaseOne: end,
    releasePart: (_number, at, bytes) => {
      for (let i = at; i < at + bytes; i++) returned[i]!++;
    },
    memoryOf: () => undefined,
  };
  const columns = {
    offsets: Float64Array.of(0),
    sizes: Uint32Array.of(BYTES),
    sources: Uint32Array.of(1),
  };
  const { make } = Batch as unknown as {
    make: (lease: Lease, columns: unknown, base: number, linear: undefined) => Batch;
  };
  const batch = make(new Lease(lessor, 0, 1), columns, 0, undefined);
  return { shared: new SharedFragment(batch), returned, whole: () => whole };
}

it('bytes of a part that is itself taken in parts go back once each', async () => {
  const { shared, returned, whole } = fragment();
  const first = shared.take(10_000);
  const inner = new SharedFragment(shared.take(BYTES - 10_000));
  const parts = [inner.take(20_000), inner.take(30_000), inner.take(inner.left)];
  for (const part of [parts[1]!, parts[0]!, first]) {
    part.release();
    await immediate();
    await immediate();
  }
  expect(whole()).toBe(0);
  parts[2]!.release();
  await immediate();
  expect(whole()).toBe(1);
  expect(returned.every((times) => times === 1)).toBe(true);
});

it('parts that all go back in one turn make one return, of the fragment', () => {
  const { shared, returned, whole } = fragment();
  const parts = [shared.take(40_000), shared.take(30_000), shared.take(shared.left)];
  for (const part of [parts[1]!, parts[0]!, parts[2]!]) part.release();
  expect(whole()).toBe(1);
  expect(returned.every((times) => times === 0)).toBe(true);
});
