import { once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { Hoard } from '../support/hoard.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair, type Pair } from '../support/peers.js';
import { readPattern, send } from '../support/stream.js';
import { bind } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
// More than the kernel's buffers of both ends take.
const FLOOD = 64 * MiB;

/** Sends a flood and tells whether all of it is on its way. */
function flood(pair: Pair): { done: boolean; finished: Promise<void> } {
  const state = { done: false, finished: Promise.resolve() };
  state.finished = send(pair.peer, FLOOD).then(() => {
    state.done = true;
    pair.peer.end();
  });
  return state;
}

describe('a consumer that gives nothing back', () => {
  expectNoLeaks();

  it.for([64 * KiB, 256 * KiB, 4 * MiB])(
    'stops the sender once %i bytes are full, and all arrives after the release',
    async (size) => {
      await using bound = await bind('copy', { size });
      await using pair = await openPair(bound.binding);
      const flooding = flood(pair);
      await using hoard = new Hoard(pair.socket);

      const message = await hoard.fill();
      const { heldBytes, heldLimit } = bound.binding;
      expect(message).toMatchObject({ heldBytes, heldLimit });
      expect(message.socket).toContain(String(pair.socket.localPort));
      expect(message.socket).toContain(String(pair.socket.remotePort));
      expect(heldBytes).toBeLessThanOrEqual(heldLimit);
      expect(hoard.bytes).toBeLessThanOrEqual(heldBytes);
      expect(pair.socket.stats.stalls).toBe(1);
      expect(flooding.done).toBe(false);
      hoard.check();

      hoard.releaseAll();
      await hoard.drain();
      await flooding.finished;
      expect(hoard.bytes).toBe(FLOOD);
      expect(bound.binding.heldBytes).toBe(0);
    },
  );

  it('is stopped at heldLimit, where that is less than the memory', async () => {
    await using bound = await bind('copy', { size: 4 * MiB, heldLimit: MiB });
    await using pair = await openPair(bound.binding);
    void flood(pair).finished.catch(() => {});
    await using hoard = new Hoard(pair.socket);
    await hoard.fill();
    const { heldBytes, heldLimit } = bound.binding;
    expect(heldLimit).toBe(MiB);
    expect(heldBytes).toBeGreaterThan(0);
    expect(heldBytes).toBeLessThanOrEqual(heldLimit);
  });

  it.for([4096, 8191, 12_287, 65_535])(
    'sleeps until a release at the limit of %i bytes, however odd',
    async (heldLimit) => {
      await using bound = await bind('copy', { heldLimit });
      await using pair = await openPair(bound.binding);
      void flood(pair).finished.catch(() => {});
      await using hoard = new Hoard(pair.socket);
      await hoard.fill();
      const { wakes } = pair.socket.stats;
      for (let turn = 0; turn < 20; turn++) await immediate();
      expect(pair.socket.stats).toMatchObject({ wakes, stalls: 1 });
      expect(bound.binding.heldBytes).toBeLessThanOrEqual(heldLimit);
    },
  );

  it('gets more once part is released, and what it keeps stays intact', async () => {
    await using bound = await bind('copy', { size: 256 * KiB });
    await using pair = await openPair(bound.binding);
    const flooding = flood(pair);
    await using hoard = new Hoard(pair.socket);
    await hoard.fill();
    const before = hoard.bytes;
    hoard.releaseHalf();
    await hoard.fill();
    expect(hoard.bytes).toBeGreaterThan(before);
    expect(pair.socket.stats.stalls).toBeGreaterThan(1);
    hoard.check();
    hoard.releaseAll();
    await hoard.drain();
    await flooding.finished;
    expect(hoard.bytes).toBe(FLOOD);
  });

  it('leaves the others a few pages, which they go on with', async () => {
    await using bound = await bind('copy', { size: 256 * KiB });
    await using greedy = await openPair(bound.binding);
    await using modest = await openPair(bound.binding);
    const first = flood(greedy);
    await using hoard = new Hoard(greedy.socket);
    await hoard.fill();

    // All of it passes through what is left, while the hoard keeps the rest.
    const held = bound.binding.heldBytes;
    const second = flood(modest);
    expect(await readPattern(modest.socket)).toBe(FLOOD);
    await second.finished;
    expect(bound.binding.heldBytes).toBe(held);
    hoard.check();

    hoard.releaseAll();
    await Promise.all([hoard.drain(), first.finished]);
    expect(hoard.bytes).toBe(FLOOD);
  });

  it('is warned of by name where it lasts', async () => {
    await using bound = await bind('copy', { size: 256 * KiB, stallWarningMs: 1 });
    await using pair = await openPair(bound.binding);
    const warned = once(process, 'warning') as Promise<[Error & { code?: string }]>;
    void flood(pair).finished.catch(() => {});
    await using hoard = new Hoard(pair.socket);
    await hoard.fill();
    const [warning] = await warned;
    expect(warning).toMatchObject({ name: 'DevmemStallWarning', code: 'DEVMEM_STALL' });
    expect(warning.message).toContain(String(pair.socket.localPort));
    expect(warning.message).toContain(`${bound.binding.heldBytes} of ${bound.binding.heldLimit}`);
  });

  it('can close while it is stalled', async () => {
    await using bound = await bind('copy', { size: 256 * KiB });
    await using pair = await openPair(bound.binding);
    void flood(pair).finished.catch(() => {});
    await using hoard = new Hoard(pair.socket);
    await hoard.fill();
    await pair.socket.close();
    await hoard.drain();
    hoard.check();
    hoard.releaseAll();
    expect(bound.binding.heldBytes).toBe(0);
  });
});
