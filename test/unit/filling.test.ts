/** What readInto() copies in one go, and when it gives that back. */
import type { DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import type { GatherEngine, Pieces } from '../../dist/gather/engine.js';
import type { Engines } from '../../dist/gather/engines.js';
import { Filling } from '../../dist/reader/filling.js';
import { Cursor } from '../../dist/receive/cursor.js';
import type { FragmentStream } from '../../dist/receive/stream.js';
import { RecordingLessor } from '../support/columns.js';
import { makeBatch } from '../support/internals.js';
import { generator } from '../support/random.js';

const FRAGMENT = 10;

/** Notes which bytes of the stream each go copies, and what had been given back before it. */
class Copier implements GatherEngine {
  readonly goes: { at: number; bytes: number; given: number }[] = [];
  readonly #lessor: RecordingLessor;
  #copied = 0;

  constructor(lessor: RecordingLessor) {
    this.#lessor = lessor;
  }

  check(): void {
    this.goes.push({ at: this.#copied, bytes: 0, given: givenBack(this.#lessor) });
  }

  copy(_: unknown, { offsets, first, bytes }: Pieces): undefined {
    expect(offsets[first]).toBe(this.#copied);
    this.goes.at(-1)!.bytes += bytes;
    this.#copied += bytes;
  }

  copyBytes(): undefined {
    throw new Error('nothing is linear');
  }

  for(): this {
    return this;
  }

  endGo(): void {}
}

/** Bytes of the fragments that were. */
function givenBack({ ranges, ones }: RecordingLessor): number {
  return ranges.reduce((sum, { count }) => sum + count, ones.length) * FRAGMENT;
}

/** A stream of so many fragments in batches of these, all there; and a place for `length` bytes. */
function filling(batches: readonly number[], heldLimit: number, length: number) {
  const fragments = batches.reduce((sum, each) => sum + each, 0);
  const lessor = new RecordingLessor({ onlySource: 1 });
  lessor.memories.set(1, {} as unknown as DmaBuf);
  const columns = {
    offsets: Float64Array.from({ length: fragments }, (_, index) => index * FRAGMENT),
    sizes: new Uint32Array(fragments).fill(FRAGMENT),
    sources: new Uint32Array(fragments).fill(1),
  };
  const nothing = () => {};
  const cursor = new Cursor({ wanted: nothing, handedOut: nothing, finished: nothing });
  let base = 0;
  for (const count of batches) {
    cursor.push(makeBatch(lessor, columns, base, base, count, undefined));
    base += count;
  }
  const stream = { cursor, bindings: [{ heldLimit }], land: () => false };
  const copier = new Copier(lessor);
  const place = { target: new Uint8Array(length), offset: 0, length };
  const filled = new Filling(
    stream as unknown as FragmentStream,
    place,
    copier as unknown as Engines,
    nothing,
  );
  return { filled, copier, lessor, cursor };
}

describe('filling a place', () => {
  it('copies a quarter of what may be held at a time, in whole batches: random batches', async () => {
    let several = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = generator(seed);
      const batches = Array.from({ length: 1 + random(12) }, () => 1 + random(50));
      const bytes = batches.reduce((sum, each) => sum + each, 0) * FRAGMENT;
      const length = random(3) === 0 ? 1 + random(bytes) : bytes + random(2);
      const heldLimit = 4 + random(4 * bytes);
      const { filled, copier, lessor, cursor } = filling(batches, heldLimit, length);
      const all = filled.take();
      const reached = Math.min(bytes, length);
      expect([all, filled.placed], `seed ${seed}`).toEqual([length <= bytes || undefined, reached]);

      // Of batches, of what is whole where the place ends, and that.
      const ends = [0];
      for (const each of batches) ends.push(ends.at(-1)! + each * FRAGMENT);
      ends.push(length - (length % FRAGMENT), reached);
      ends.sort((a, b) => a - b);
      const goes = copier.goes.filter(({ bytes: copied }) => copied > 0);
      for (const { at, bytes: copied, given } of goes) {
        // All before is given back, and it ends with the batch that reaches the quarter.
        expect(given, `seed ${seed}`).toBe(at);
        const end = ends.find((each) => each >= Math.min(at + heldLimit / 4, reached));
        expect(at + copied, `seed ${seed}`).toBe(end);
      }
      if (goes.length > 1) several++;
      await filled.settle();
      cursor.close();
      expect(givenBack(lessor), `seed ${seed}`).toBe(bytes);
    }
    expect(several).toBeGreaterThan(100);
  });
});
