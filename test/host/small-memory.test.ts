/** Memory that is short: what fits in it comes, and nobody keeps others from theirs. */
import { setImmediate as immediate } from 'node:timers/promises';

import { type Batch, bindRx, DmaBuf, type Fragment } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Hoard } from '../support/hoard.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { bytesOf, pattern, send, take, Verifier } from '../support/stream.js';
import { bind } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const PAGE = 4 * KiB;

describe('memory of the copy transport', () => {
  expectNoLeaks();

  it.for([100, KiB, PAGE, 5000])(
    'takes a message nearly as large as itself, in pieces of %i bytes that are all kept',
    async (piece) => {
      await using bound = await bind('copy', { size: 64 * KiB });
      await using pair = await openPair(bound.binding);
      // A page is the least that a piece of any size may take.
      const message = piece < PAGE ? 48 * KiB : 32 * KiB;
      const verifier = new Verifier();
      const held: Fragment[] = [];
      const iterator = pair.socket[Symbol.asyncIterator]();
      for (let sent = 0; sent < message; sent += piece) {
        pair.peer.write(pattern.slice(sent, Math.min(piece, message - sent)));
        while (verifier.bytes < Math.min(sent + piece, message)) {
          const { value } = await iterator.next();
          held.push(value!);
          verifier.look(bytesOf(value!, bound.memory));
        }
      }
      const again = new Verifier();
      for (const fragment of held) again.look(bytesOf(fragment, bound.memory));
      expect(again.bytes).toBe(message);
      for (const fragment of held) fragment.release();
    },
  );

  it('has room for a socket that comes while another one has read ahead', async () => {
    await using bound = await bind('copy', { size: MiB });
    await using paused = await openPair(bound.binding);
    void send(paused.peer, 16 * MiB).catch(() => {});
    (await take(paused.socket.batches())).release();
    await using late = await openPair(bound.binding);
    late.peer.write('go on');
    using batch = await take(late.socket.batches());
    expect(batch.byteLength).toBe(5);
    expect(bound.binding.heldBytes).toBeGreaterThan(MiB / 2);
  });

  it('has room for a socket that comes while another one keeps all that it can get', async () => {
    await using bound = await bind('copy', { size: 256 * KiB });
    await using greedy = await openPair(bound.binding);
    void send(greedy.peer, 16 * MiB).catch(() => {});
    await using hoard = new Hoard(greedy.socket);
    await hoard.fill();
    await using late = await openPair(bound.binding);
    late.peer.write('go on');
    using batch = await take(late.socket.batches());
    expect(batch.byteLength).toBe(5);
  });

  it('serves a connection for as many sockets as it has pages for, all of them stalled but one', async () => {
    await using bound = await bind('copy', { size: 64 * KiB });
    const hoards = await Promise.all(Array.from({ length: 7 }, () => openPair(bound.binding)));
    await using lively = await openPair(bound.binding);
    for (const { peer } of hoards) void send(peer, 4 * MiB).catch(() => {});
    const kept: Batch[] = [];
    const readers = hoards.map(async ({ socket }) => {
      for await (const batch of socket.batches()) kept.push(batch);
    });
    for (let turn = 0; turn < 20; turn++) {
      lively.peer.write(pattern.slice(turn * KiB, KiB));
      using batch = await take(lively.socket.batches());
      expect(batch.byteLength).toBeGreaterThan(0);
    }
    await Promise.all(hoards.map((hoard) => hoard[Symbol.asyncDispose]()));
    await Promise.all(readers);
    for (const batch of kept) batch.release();
  });

  it('of 16 TiB, of which a page may be held, receives', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 44 });
    await using binding = await bindRx({ memory, mode: 'copy', heldLimit: PAGE });
    await using pair = await openPair(binding);
    pair.peer.end('payload');
    let bytes = 0;
    for await (using batch of pair.socket.batches()) bytes += batch.byteLength;
    expect(bytes).toBe('payload'.length);
  });
});

describe('a held limit', () => {
  it('below a page of the NIC is refused, with both sizes', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: MiB });
    const options = { memory, interface: 'lo', queues: [0], rxPageSize: 65536, heldLimit: PAGE };
    await expect(bindRx({ ...options, mode: 'devmem' })).rejects.toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
      message: /options\.heldLimit.*65536.*4096/,
    });
    await using binding = await bindRx({ memory, mode: 'copy' });
    expect(binding.closed).toBe(false);
  });
});

describe('a consumer that holds more than three quarters for good', () => {
  expectNoLeaks();

  it('still gets what comes, in what is left', async () => {
    await using bound = await bind('copy', { size: 64 * KiB });
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, MiB).then(() => pair.peer.end());
    const verifier = new Verifier();
    const kept: Fragment[] = [];
    for await (const fragment of pair.socket) {
      verifier.look(bytesOf(fragment, bound.memory));
      if (bound.binding.heldBytes <= 52 * KiB) kept.push(fragment);
      else fragment.release();
    }
    await sent;
    expect(verifier.bytes).toBe(MiB);
    for (const fragment of kept) fragment.release();
    await immediate();
    expect(bound.binding.heldBytes).toBe(0);
  });
});
