/** The writing side as a stream: what it can be at, and what comes of the connection. */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';

import type { DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, openPair, reset } from '../support/peers.js';
import { pattern, readText, send, Verifier } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;
const FLOOD = 64 * MiB;
const DONE = { done: true, value: undefined };
const MINE = new Error('the source failed');

/** What a write says in the end. */
function write(socket: DevmemSocket, bytes: number): Promise<Error | null | undefined> {
  return new Promise((resolve) => {
    socket.writable.write(Buffer.alloc(bytes), resolve);
  });
}

/** The events of a writing side, in their order. */
function record({ writable }: DevmemSocket): string[] {
  const events: string[] = [];
  for (const event of ['finish', 'error', 'close']) {
    writable.on(event, () => events.push(event));
  }
  return events;
}

/** More than a peer that does not read can be sent. */
const endless = (): Readable => Readable.from(new Array(8).fill(Buffer.alloc(FLOOD / 8)));

describeOverTransports('the writing side', (transport) => {
  expectNoLeaks();

  it('finishes, then closes, and reading goes on', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { peerStaysOpen: true });
    const { peer, socket } = pair;
    const events = record(socket);
    const verifier = new Verifier();
    peer.on('data', (piece) => verifier.look(piece));
    const ended = once(peer, 'end');
    socket.writable.end(pattern.slice(0, 3 * MiB));
    await once(socket.writable, 'close');
    await ended;
    expect(events).toEqual(['finish', 'close']);
    expect(verifier.bytes).toBe(3 * MiB);
    expect(socket.closed).toBe(false);
    peer.end('still there');
    expect(await readText(socket)).toBe('still there');
  });

  it('destroyed after it finished leaves the connection alone', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { peerStaysOpen: true });
    pair.socket.writable.end();
    await once(pair.socket.writable, 'finish');
    pair.socket.writable.destroy(MINE);
    pair.peer.end('still there');
    expect(await readText(pair.socket)).toBe('still there');
    await pair.socket.close();
    expect(pair.socket.error).toBeUndefined();
  });

  it('destroyed early ends the connection, and close() resolves', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const waiting = pair.socket.batches().next();
    const gone = closing(pair.peer);
    pair.socket.writable.destroy();
    expect(await waiting).toEqual(DONE);
    await pair.socket.close();
    expect(pair.socket.error).toBeUndefined();
    await gone;
  });

  it('destroyed early with an error has reads reject with it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    pair.peer.pause();
    const written = write(pair.socket, FLOOD);
    const waiting = rejectionOf(pair.socket.batches().next());
    pair.socket.writable.destroy(MINE);
    expect(await waiting).toBe(MINE);
    expect(await written).toBe(MINE);
    await pair.socket.close();
    expect(pair.socket.error).toBe(MINE);
  });

  it('does not call a write done that destroy() cut off', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    pair.peer.pause();
    const writes = [write(pair.socket, FLOOD), write(pair.socket, 1)];
    const ended = new Promise((resolve) => pair.socket.writable.end(resolve));
    pair.socket.destroy();
    const cutOff = { code: 'ERR_STREAM_DESTROYED' };
    expect(await Promise.all(writes)).toMatchObject([cutOff, cutOff]);
    expect(await ended).toMatchObject(cutOff);
  });

  it('tells its end() of a reset', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const events = record(pair.socket);
    pair.peer.pause();
    const written = write(pair.socket, FLOOD);
    const ended = new Promise((resolve) => pair.socket.writable.end(resolve));
    const read = rejectionOf(readText(pair.socket));
    const closed = new Promise((resolve) => pair.socket.writable.once('close', resolve));
    reset(pair.peer);
    const error = await read;
    expect([await written, await ended]).toEqual([error, error]);
    await closed;
    expect(events).toEqual(['error', 'close']);
  });

  it.for(['read', 'not read'])('tells a pipeline of a reset, %s at the same time', async (how) => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    pair.peer.pause();
    const piped = rejectionOf(pipeline(endless(), pair.socket.writable));
    const read = how === 'read' ? readText(pair.socket).catch(() => {}) : undefined;
    await once(pair.peer, 'readable');
    reset(pair.peer);
    const error = await piped;
    expect(error).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) as string });
    expect(pair.socket.error).toBe(error);
    await read;
    await pair.socket.close();
  });

  it('tells who waits for it that it was closed early', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const waiting = rejectionOf(finished(pair.socket.writable));
    pair.socket.destroy();
    expect(await waiting).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
  });

  it('goes down with a source that fails in a pipeline, and the connection with it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const gone = closing(pair.peer);
    const source = Readable.from(
      (function* () {
        yield Buffer.alloc(10);
        throw MINE;
      })(),
    );
    expect(await rejectionOf(pipeline(source, pair.socket.writable))).toBe(MINE);
    await gone;
    expect(pair.socket.error).toBe(MINE);
  });

  it('refuses writes after close(), to their callbacks alone', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const closed = pair.socket.close();
    expect(await write(pair.socket, 1)).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' });
    await closed;
    expect(await write(pair.socket, 1)).toMatchObject({
      code: expect.stringMatching(/^ERR_STREAM/) as string,
    });
  });

  it('can be ended more than once, before, while and after others end it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const events = record(pair.socket);
    const { writable } = pair.socket;
    writable.end('bye');
    writable.end();
    const closed = pair.socket.close();
    writable.end();
    await closed;
    writable.end();
    writable.destroy();
    expect(events).toEqual(['finish', 'close']);
    expect(pair.socket.error).toBeUndefined();
  });

  it('takes what was corked, and empty writes', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const verifier = new Verifier();
    pair.peer.on('data', (piece) => verifier.look(piece));
    const ended = once(pair.peer, 'end');
    const { writable } = pair.socket;
    writable.cork();
    for (let i = 0; i < 100; i++) {
      writable.write(pattern.slice(i * 100, 100));
      writable.write('');
    }
    await pair.socket.close();
    await ended;
    expect(verifier.bytes).toBe(10_000);
  });

  it('sends chunks of any size in order', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const verifier = new Verifier();
    pair.peer.on('data', (piece) => verifier.look(piece));
    const ended = once(pair.peer, 'end');
    const sizes = [1, 65_535, 65_536, 65_537, 131_072, 200_000, 3 * MiB];
    let position = 0;
    for (const size of sizes) {
      pair.socket.writable.write(pattern.slice(position, size));
      position += size;
    }
    pair.socket.writable.end();
    await ended;
    expect(verifier.bytes).toBe(position);
  });
});

describeOverTransports('a peer that ends its direction', (transport) => {
  expectNoLeaks();

  it.for([
    ['batches', 1],
    ['batches', 50],
    ['fragments', 1],
    ['fragments', 50],
  ] as const)(
    'is answered to its last byte, from a loop over %s with %i turns each',
    async ([mode, turns]) => {
      await using bound = await bind(transport);
      await using pair = await openPair(bound.binding);
      const { peer, socket } = pair;
      const verifier = new Verifier();
      peer.on('data', (piece) => verifier.look(piece));
      const ended = once(peer, 'end');
      const closed = once(socket, 'close');
      const size = 2 * MiB;
      const sent = send(peer, size).then(() => peer.end());
      let echoed = 0;
      const leases = mode === 'batches' ? socket.batches() : socket[Symbol.asyncIterator]();
      for await (using lease of leases) {
        const bytes = 'byteLength' in lease ? lease.byteLength : lease.size;
        for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
        expect(await writePattern(socket, echoed, bytes)).toBeFalsy();
        echoed += bytes;
      }
      await Promise.all([sent, ended]);
      expect(verifier.bytes).toBe(size);
      await closed;
    },
  );

  it('is answered by who writes as soon as it has read the whole', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const verifier = new Verifier();
    pair.peer.on('data', (piece) => verifier.look(piece));
    const ended = once(pair.peer, 'end');
    pair.peer.end('question');
    expect(await readText(pair.socket)).toBe('question');
    pair.socket.writable.write(pattern.slice(0, 3 * MiB));
    await ended;
    expect(verifier.bytes).toBe(3 * MiB);
  });

  it('is written to as long as the end was not read, and the connection closed', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const { peer, socket } = pair;
    const iterator = socket.batches();
    peer.end('question');
    (await iterator.next()).value?.release();
    for (let i = 0; i < 5; i++) expect(await write(socket, 100)).toBeFalsy();
    expect(socket.closed).toBe(false);
    const closed = once(socket, 'close');
    expect(await iterator.next()).toEqual(DONE);
    await closed;
  });
});

/** Writes a stretch of the pattern; what the write says in the end. */
function writePattern(socket: DevmemSocket, position: number, bytes: number): Promise<unknown> {
  return new Promise((resolve) => {
    socket.writable.write(pattern.slice(position, bytes), resolve);
  });
}
