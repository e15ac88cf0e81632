import type { Batch, Fragment } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { bytesOf, eachPiece, send, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

describeOverTransports('several next() calls that wait', (transport) => {
  expectNoLeaks();

  it('get fragments in the order in which they were made', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const iterator = pair.socket[Symbol.asyncIterator]();
    const verifier = new Verifier();
    const order: number[] = [];
    const look = (index: number, { done, value }: IteratorResult<Fragment, undefined>) => {
      order.push(index);
      if (done === true) return;
      verifier.look(bytesOf(value, bound.memory));
      value.release();
    };
    const calls = 5000;
    const waiting = Array.from({ length: calls }, (_, index) =>
      iterator.next().then((result) => look(index, result)),
    );
    await send(pair.peer, 4 * MiB);
    pair.peer.end();
    await Promise.all(waiting);
    expect(order).toEqual(Array.from({ length: calls }, (_, index) => index));
    expect(verifier.bytes).toBe(4 * MiB);
  });

  it('get batches in the order in which they were made', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const iterator = pair.socket.batches();
    const verifier = new Verifier();
    const order: number[] = [];
    const look = (index: number, { done, value }: IteratorResult<Batch, undefined>) => {
      order.push(index);
      if (done === true) return;
      eachPiece(value, bound.memory, (piece) => verifier.look(piece));
      value.release();
    };
    const calls = 5000;
    const waiting = Array.from({ length: calls }, (_, index) =>
      iterator.next().then((result) => look(index, result)),
    );
    await send(pair.peer, 4 * MiB);
    pair.peer.end();
    await Promise.all(waiting);
    expect(order).toEqual(Array.from({ length: calls }, (_, index) => index));
    expect(verifier.bytes).toBe(4 * MiB);
  });
});
