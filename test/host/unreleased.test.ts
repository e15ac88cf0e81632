/** Leases that nobody can give back any more. */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { Binding } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { openPair } from '../support/peers.js';
import { send } from '../support/stream.js';
import { bind } from '../support/transports.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const MiB = 2 ** 20;

/** Collects until it holds, as finalisers run between turns of the event loop. */
async function collectUntil(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !holds(); turn++) {
    collectGarbage();
    await nextTurn();
  }
}

/** Reads and forgets; what is left is on nobody's stack. */
async function forget(binding: Binding, look: boolean): Promise<number> {
  await using pair = await openPair(binding);
  await send(pair.peer, 1000);
  const { value } = await pair.socket.batches().next();
  if (look) value!.offset(0);
  return pair.socket.localPort!;
}

/** Reads through a stream.Readable that is destroyed with batches, or fragments, in it. */
async function abandonReadable(binding: Binding, kind: 'batches' | 'fragments'): Promise<void> {
  await using pair = await openPair(binding);
  void send(pair.peer, 8 * MiB).catch(() => {});
  const from = kind === 'batches' ? pair.socket.batches() : pair.socket;
  const readable = Readable.from(from, { highWaterMark: 4 });
  const [first] = (await once(readable, 'data')) as [Disposable];
  readable.pause();
  first[Symbol.dispose]();
  while (readable.readableLength < 2) await nextTurn();
  readable.destroy();
}

describe('a batch that was collected unreleased', () => {
  it('is warned of, with its socket, and stays held: somebody knows where it lies', async () => {
    const bound = await bind('copy');
    const warned = once(process, 'warning') as Promise<[Error & { code?: string }]>;
    const port = await forget(bound.binding, true);
    let warning: (Error & { code?: string }) | undefined;
    void warned.then(([first]) => (warning = first));
    await collectUntil(() => warning !== undefined);
    expect(warning).toMatchObject({ code: 'DEVMEM_UNRELEASED' });
    expect(warning!.message).toContain(String(port));
    expect(bound.binding.heldBytes).toBeGreaterThan(0);
  });

  it('goes back in silence where nobody has looked at it', async () => {
    await using bound = await bind('copy');
    const warnings: Error[] = [];
    const listener = (warning: Error): number => warnings.push(warning);
    process.on('warning', listener);
    await forget(bound.binding, false);
    expect(bound.binding.heldBytes).toBeGreaterThan(0);
    await collectUntil(() => bound.binding.heldBytes === 0);
    process.off('warning', listener);
    expect(bound.binding.heldBytes).toBe(0);
    expect(warnings).toEqual([]);
  });
});

describe('a stream.Readable that is destroyed', () => {
  it.for(['batches', 'fragments'] as const)('leaves nothing of its %s held', async (kind) => {
    await using bound = await bind('copy');
    await abandonReadable(bound.binding, kind);
    await collectUntil(() => bound.binding.heldBytes === 0);
    expect(bound.binding.heldBytes).toBe(0);
  });
});
