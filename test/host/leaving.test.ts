import { setImmediate as immediate } from 'node:timers/promises';

import type { DevmemSocket, Fragment } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks, resources } from '../support/leaks.js';
import { closing, openPair } from '../support/peers.js';
import { bytesOf, eachPiece, send, take, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;
const THROWN = new Error('the consumer had enough');

// Ways to leave in the middle of a stream, after some right bytes.
const ways: Record<string, (socket: DevmemSocket) => Promise<void>> = {
  'break out of fragments': async (socket) => {
    const verifier = new Verifier();
    for await (using fragment of socket) {
      verifier.look(bytesOf(fragment, socket.binding.memory));
      if (verifier.bytes > 0) break;
    }
  },
  'break out of batches': async (socket) => {
    const verifier = new Verifier();
    for await (using batch of socket.batches()) {
      eachPiece(batch, socket.binding.memory, (piece) => verifier.look(piece));
      break;
    }
  },
  'throw from fragments': async (socket) => {
    const left = (async () => {
      for await (using fragment of socket) {
        expect(fragment.released).toBe(false);
        throw THROWN;
      }
    })();
    await expect(left).rejects.toBe(THROWN);
  },
  'throw from batches': async (socket) => {
    const left = (async () => {
      for await (using batch of socket.batches()) {
        expect(batch.released).toBe(false);
        throw THROWN;
      }
    })();
    await expect(left).rejects.toBe(THROWN);
  },
  'return() of fragments': async (socket) => {
    const iterator = socket[Symbol.asyncIterator]();
    (await take(iterator)).release();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  },
  'return() of batches': async (socket) => {
    const iterator = socket.batches();
    (await take(iterator)).release();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  },
  'return() while next() waits': async (socket) => {
    const iterator = socket[Symbol.asyncIterator]();
    const waiting: Promise<boolean>[] = [];
    // Until one of them has to wait: whatever comes before, is given back.
    for (let i = 0; i < 50; i++) {
      waiting.push(
        iterator.next().then(({ done, value }) => {
          value?.release();
          return done === true;
        }),
      );
    }
    await waiting[0];
    await iterator.return?.();
    await Promise.all(waiting);
  },
  'return() before anything was read': async (socket) => {
    await socket[Symbol.asyncIterator]().return?.();
  },
};

describeOverTransports('leaving the loop', (transport) => {
  expectNoLeaks();

  it.for(Object.entries(ways))(
    'by %s closes the connection and gives everything back',
    async ([, leave]) => {
      await using bound = await bind(transport);
      await using pair = await openPair(bound.binding);
      const before = resources().liveDescriptors;
      const gone = closing(pair.peer);
      void send(pair.peer, 32 * MiB).catch(() => {});

      await leave(pair.socket);

      expect(pair.socket.closed).toBe(true);
      await immediate();
      expect(bound.binding.heldBytes).toBe(0);
      expect(pair.socket.stats.heldFragments).toBe(0);
      expect(resources().liveDescriptors).toBe(before);
      pair.peer.end();
      await gone;
    },
  );

  it('keeps what is still leased: it belongs to the consumer', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    await send(pair.peer, 1000);
    let kept: Fragment | undefined;
    for await (const fragment of pair.socket) {
      kept = fragment;
      break;
    }
    expect(kept?.released).toBe(false);
    new Verifier().look(bytesOf(kept!, bound.memory));
    kept?.release();
    await immediate();
    expect(bound.binding.heldBytes).toBe(0);
  });
});
