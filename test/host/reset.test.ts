import { once } from 'node:events';

import { adopt } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, connectPlain, openPair, PlainServer, reset } from '../support/peers.js';
import { readPattern, readText, send, take } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';

const RESET = { code: 'ECONNRESET', errno: -104 };
const DONE = { done: true, value: undefined };

describeOverTransports('a reset by the peer', (transport) => {
  expectNoLeaks();

  it.for(['fragments', 'batches'] as const)(
    'rejects the next() of %s that waits, once, with code and syscall',
    async (mode) => {
      await using bound = await bind(transport);
      await using pair = await openPair(bound.binding);
      const iterator =
        mode === 'batches' ? pair.socket.batches() : pair.socket[Symbol.asyncIterator]();
      const waiting = rejectionOf(iterator.next());
      reset(pair.peer);
      const error = await waiting;
      expect(error).toMatchObject({ ...RESET, syscall: expect.stringMatching(/^recv/) as string });
      expect(await iterator.next()).toEqual(DONE);
      expect(await iterator.next()).toEqual(DONE);
    },
  );

  it('rejects the first of several that wait and ends the others', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const iterator = pair.socket[Symbol.asyncIterator]();
    const waiting = [iterator.next(), iterator.next(), iterator.next()];
    const outcomes = Promise.allSettled(waiting);
    reset(pair.peer);
    const [first, second, third] = await outcomes;
    expect(first).toMatchObject({ status: 'rejected', reason: RESET });
    expect(second).toEqual({ status: 'fulfilled', value: DONE });
    expect(third).toEqual({ status: 'fulfilled', value: DONE });
  });

  it('is the error of the socket, which closes', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const gone = once(pair.socket, 'close');
    const failed = rejectionOf(readText(pair.socket));
    reset(pair.peer);
    const error = await failed;
    await gone;
    expect(pair.socket.error).toBe(error);
    expect(pair.socket.closed).toBe(true);
  });

  it('comes after the data before it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const iterator = pair.socket.batches();
    const [first] = await Promise.all([take(iterator), send(pair.peer, 1000)]);
    let bytes = first.byteLength;
    first.release();
    while (bytes < 1000) {
      using batch = await take(iterator);
      bytes += batch.byteLength;
    }
    reset(pair.peer);
    expect(await rejectionOf(iterator.next())).toMatchObject(RESET);
    expect(bytes).toBe(1000);
  });

  it('rejects once who reads only afterwards', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const gone = closing(pair.peer);
    reset(pair.peer);
    await gone;
    expect(await rejectionOf(readPattern(pair.socket))).toMatchObject(RESET);
    expect(await readPattern(pair.socket)).toBe(0);
  });

  it('before the connection was adopted rejects who reads it', async () => {
    await using bound = await bind(transport);
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const peer = await connectPlain(server.port);
    const connection = await accepted;
    const gone = closing(peer);
    reset(peer);
    await gone;
    await using socket = adopt(connection, { binding: bound.binding });
    expect(await rejectionOf(readText(socket))).toMatchObject(RESET);
  });

  it('does not touch what is leased', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const iterator = pair.socket.batches();
    const [batch] = await Promise.all([take(iterator), send(pair.peer, 100)]);
    reset(pair.peer);
    await rejectionOf(iterator.next());
    expect(batch.released).toBe(false);
    expect(batch.byteLength).toBeGreaterThan(0);
    batch.release();
    expect(bound.binding.heldBytes).toBe(0);
  });
});
