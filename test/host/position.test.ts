/** A stream has one position, whatever reads it. */
import { setImmediate as immediate } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { bytesOf, eachPiece, pattern, send, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const microtask = () => Promise.resolve();

const KiB = 1024;
const MiB = 1024 * KiB;

describeOverTransports('a stream that is read in several ways', (transport) => {
  expectNoLeaks();

  it('goes on with batches where fragments ended', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, MiB).then(() => pair.peer.end());
    const verifier = new Verifier();
    const { value: header } = await pair.socket[Symbol.asyncIterator]().next();
    verifier.look(bytesOf(header!, bound.memory));
    header!.release();
    for await (using batch of pair.socket.batches()) {
      eachPiece(batch, bound.memory, (piece) => verifier.look(piece));
    }
    await sent;
    expect(verifier.bytes).toBe(MiB);
    // Single releases count at the end of the turn.
    await immediate();
    expect(bound.binding.heldBytes).toBe(0);
  });

  it('gives each of two iterators what comes next', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const sent = send(pair.peer, 4 * MiB).then(() => pair.peer.end());
    const verifier = new Verifier();
    const fragments = [pair.socket[Symbol.asyncIterator](), pair.socket[Symbol.asyncIterator]()];
    const batches = pair.socket.batches();
    for (let turn = 0; ; turn++) {
      if (turn % 3 === 2) {
        const { done, value } = await batches.next();
        if (done === true) break;
        eachPiece(value, bound.memory, (piece) => verifier.look(piece));
        value.release();
      } else {
        const { done, value } = await fragments[turn % 3]!.next();
        if (done === true) break;
        verifier.look(bytesOf(value, bound.memory));
        value.release();
      }
    }
    await sent;
    expect(verifier.bytes).toBe(4 * MiB);
  });

  it('answers calls a few microtasks apart in their order', async () => {
    for (let apart = 0; apart < 8; apart++) {
      await using bound = await bind(transport);
      await using pair = await openPair(bound.binding);
      const iterator = pair.socket[Symbol.asyncIterator]();
      const verifier = new Verifier();
      const ended = send(pair.peer, 2 * MiB).then(() => pair.peer.end());
      for (let over = false; !over;) {
        // Something is read ahead.
        for (let turn = 0; turn < 4; turn++) await immediate();
        const first = iterator.next();
        for (let i = 0; i < apart; i++) await microtask();
        for (const { done, value } of await Promise.all([first, iterator.next()])) {
          over ||= done === true;
          if (value === undefined) continue;
          verifier.look(bytesOf(value, bound.memory));
          value.release();
        }
      }
      await ended;
      expect(verifier.bytes).toBe(2 * MiB);
    }
  });

  it('counts a low-water mark from the last fragment that was taken', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const iterator = pair.socket[Symbol.asyncIterator]();
    const message = 400 * KiB;
    pair.peer.write(pattern.slice(0, 300 * KiB));
    const { value: first } = await iterator.next();
    const taken = first!.size;
    first!.release();
    pair.socket.setLowWaterMark(message);
    pair.peer.write(pattern.slice(300 * KiB, taken + message - 300 * KiB));
    for (let got = 0; got < message;) {
      const { value } = await iterator.next();
      got += value!.size;
      value!.release();
    }
    expect(pair.socket.stats.heldFragments).toBe(0);
  });
});
