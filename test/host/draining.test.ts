/** What close() does with a peer that is not through with the connection. */
import { once } from 'node:events';
import type net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import { adopt, connect, createServer, type DevmemSocket } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close, closing, connectPlain, LOOPBACK, openPair, PlainServer } from '../support/peers.js';
import { pattern, readText, send, take, Verifier } from '../support/stream.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
// More than the kernel's buffers of both ends take.
const FLOOD = 64 * MiB;
const ENOUGH_TO_WAIT = 60_000;
const LOST = expect.stringMatching(/ECONNRESET|EPIPE/) as string;

/** Reads what the peer gets to the end, byte by byte; how many there were. */
async function readPeer(peer: net.Socket): Promise<number> {
  const verifier = new Verifier();
  peer.on('data', (piece) => verifier.look(piece));
  peer.resume();
  await once(peer, 'end');
  return verifier.bytes;
}

/** Reads to the end and gives all back. */
async function drain(socket: DevmemSocket): Promise<void> {
  for await (using batch of socket.batches()) expect(batch.length).toBeGreaterThan(0);
}

describeOverTransports('close() and a peer', (transport) => {
  expectNoLeaks();

  it('that had sent what nobody reads: it gets the whole answer', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { closeTimeout: ENOUGH_TO_WAIT });
    const { peer, socket } = pair;
    peer.pause();
    const [first] = await Promise.all([take(socket.batches()), send(peer, 10)]);
    first.release();
    await send(peer, 3000);
    socket.writable.write(pattern.slice(0, 2 * MiB));
    const closed = socket.close();
    expect(await readPeer(peer)).toBe(2 * MiB);
    await closed;
    expect(socket.error).toBeUndefined();
  });

  it('that goes on sending: it is read until it ends, and nothing is held', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, {
      closeTimeout: ENOUGH_TO_WAIT,
      peerStaysOpen: true,
    });
    const { peer, socket } = pair;
    const iterator = socket.batches();
    const [kept] = await Promise.all([take(iterator), send(peer, 100)]);
    const ended = once(peer, 'end');
    const closed = socket.close();
    await ended;
    await send(peer, FLOOD);
    expect(kept.released).toBe(false);
    kept.release();
    peer.end();
    await closed;
    expect(bound.binding.heldBytes).toBe(0);
    expect(socket.error).toBeUndefined();
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('that ends while nobody reads: it is heard', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, {
      closeTimeout: ENOUGH_TO_WAIT,
      lowWaterMark: MiB,
    });
    await send(pair.peer, 100_000);
    pair.peer.end();
    await pair.socket.close();
    expect(pair.socket.error).toBeUndefined();
  });

  it('that does not end: it is waited for no longer than closeTimeout', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { closeTimeout: 20, peerStaysOpen: true });
    const received = readPeer(pair.peer);
    pair.socket.writable.write(pattern.slice(0, MiB));
    await pair.socket.close();
    expect(await received).toBe(MiB);
    expect(pair.socket.error).toBeUndefined();
  });

  it('that takes nothing: it is reset after closeTimeout, and who wrote is told', async () => {
    await using bound = await bind(transport);
    const { binding } = bound;
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const { port } = server;
    const socket = await connect({ binding, host: LOOPBACK, port, closeTimeout: 20 });
    // Node takes a reset after a short read for an end.
    await using peer = adopt(await accepted, { binding });
    const written = new Promise((resolve) => {
      socket.writable.write(Buffer.alloc(FLOOD), resolve);
    });
    await socket.close();
    expect(socket.error).toMatchObject({ code: 'ERR_DEVMEM_CLOSE_TIMEOUT' });
    expect(await written).toBe(socket.error);
    expect(await rejectionOf(drain(peer))).toMatchObject({ code: 'ECONNRESET' });
  });

  it('that takes a large write slowly: it gets all of it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { closeTimeout: 1000 });
    const { peer, socket } = pair;
    const size = 48 * MiB;
    socket.writable.write(Buffer.alloc(size));
    const closed = socket.close();
    let received = 0;
    for await (const piece of peer as AsyncIterable<Buffer>) {
      received += piece.length;
      await delay(2);
    }
    await closed;
    expect(received).toBe(size);
    expect(socket.error).toBeUndefined();
  });

  it('that resets once it has all: that is an end like another', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, {
      closeTimeout: ENOUGH_TO_WAIT,
      peerStaysOpen: true,
    });
    const ended = Promise.all([once(pair.peer, 'end'), once(pair.socket.writable, 'close')]);
    const closed = pair.socket.close();
    await ended;
    pair.peer.resetAndDestroy();
    await closed;
    expect(pair.socket.error).toBeUndefined();
  });

  it('that resets before it has all: that is the error of the socket', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { closeTimeout: ENOUGH_TO_WAIT });
    const { peer, socket } = pair;
    peer.pause();
    socket.writable.write(Buffer.alloc(FLOOD));
    const closed = socket.close();
    peer.resetAndDestroy();
    await closed;
    expect(socket.error).toMatchObject({ code: LOST });
  });

  it.for([0, 1])('that does not end, with closeTimeout: %i', async (closeTimeout) => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { closeTimeout, peerStaysOpen: true });
    const received = readPeer(pair.peer);
    pair.socket.writable.write(pattern.slice(0, 1000));
    await pair.socket.close();
    expect(await received).toBe(1000);
  });

  it('that ends in its own time, with closeTimeout: Infinity', async () => {
    await using bound = await bind(transport);
    const unlimited = { closeTimeout: Infinity, peerStaysOpen: true };
    await using pair = await openPair(bound.binding, unlimited);
    const ended = once(pair.peer, 'end');
    const closed = pair.socket.close();
    await ended;
    pair.peer.end('bye');
    await closed;
    expect(pair.socket.error).toBeUndefined();
  });

  it('that does not end: destroy() ends the wait', async () => {
    await using bound = await bind(transport);
    const unlimited = { closeTimeout: Infinity, peerStaysOpen: true };
    await using pair = await openPair(bound.binding, unlimited);
    const closed = pair.socket.close();
    pair.socket.destroy();
    await closed;
  });

  it('that does not end: an abort signal ends the wait', async () => {
    await using bound = await bind(transport);
    const controller = new AbortController();
    const { signal } = controller;
    const unlimited = { closeTimeout: Infinity, peerStaysOpen: true, signal };
    await using pair = await openPair(bound.binding, unlimited);
    const closed = pair.socket.close();
    const reason = new Error('no more time');
    controller.abort(reason);
    await closed;
    expect(pair.socket.error).toBe(reason);
  });
});

describeOverTransports('close() of a server with deaf peers', (transport) => {
  expectNoLeaks();

  /** A server whose handlers return with much unsent, and clients that take none of it. */
  async function serveDeaf(closeTimeout: number, signal?: AbortSignal) {
    const bound = await bind(transport);
    const { binding } = bound;
    const options = { binding, closeTimeout, ...(signal !== undefined && { signal }) };
    const server = createServer(options, (socket) => {
      socket.writable.write(Buffer.alloc(FLOOD));
    });
    const failures: [unknown, DevmemSocket][] = [];
    server.on('socketError', (...values: [unknown, DevmemSocket]) => failures.push(values));
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection');
    const client = await connectPlain(port);
    client.on('error', () => {});
    client.pause();
    const [socket] = (await connected) as [DevmemSocket];
    return {
      server,
      socket,
      failures,
      async [Symbol.asyncDispose]() {
        await close(client);
        await server.close();
        await bound[Symbol.asyncDispose]();
      },
    };
  }

  it("ends after closeTimeout, and tells of what was not sent by 'socketError'", async () => {
    await using deaf = await serveDeaf(20);
    const failed = once(deaf.server, 'socketError');
    await deaf.server.close();
    await failed;
    const timeout = expect.objectContaining({ code: 'ERR_DEVMEM_CLOSE_TIMEOUT' }) as unknown;
    expect(deaf.failures).toEqual([[timeout, deaf.socket]]);
  });

  it('ends at once by closeAllConnections()', async () => {
    await using deaf = await serveDeaf(Infinity);
    const closed = deaf.server.close();
    deaf.server.closeAllConnections();
    await closed;
    expect(deaf.server.connections.size).toBe(0);
  });

  it('ends at once by its abort signal', async () => {
    const controller = new AbortController();
    await using deaf = await serveDeaf(Infinity, controller.signal);
    const closed = deaf.server.close();
    const reason = new Error('no more time');
    controller.abort(reason);
    await closed;
    expect(deaf.socket.error).toBe(reason);
  });

  it('goes on to listen after closeAllConnections() alone', async () => {
    await using bound = await bind(transport);
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      await readText(socket);
    });
    let errors = 0;
    server.on('error', () => errors++);
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection');
    const first = await connectPlain(port);
    first.resume();
    await connected;
    server.closeAllConnections();
    await closing(first);
    const second = await connectPlain(port);
    second.resume();
    second.end('hello');
    await closing(second);
    expect(errors).toBe(0);
  });
});

describe('closeTimeout', () => {
  expectNoLeaks();

  const wrong: [unknown, string][] = [
    [-1, 'ERR_OUT_OF_RANGE'],
    [NaN, 'ERR_OUT_OF_RANGE'],
    [2 ** 31, 'ERR_OUT_OF_RANGE'],
    ['5', 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
  ];

  it.for(wrong)('%s is refused before anything is done', async ([value, code]) => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const client = await connectPlain(server.port);
    const connection = await accepted;
    const options = { binding: bound.binding, closeTimeout: value as number };
    const expected = { code, message: expect.stringContaining('options.closeTimeout') as string };
    expect(thrownBy(() => createServer(options))).toMatchObject(expected);
    expect(thrownBy(() => adopt(connection, options))).toMatchObject(expected);
    const { port } = server;
    const attempt = connect({ ...options, host: LOOPBACK, port });
    expect(await rejectionOf(attempt)).toMatchObject(expected);
    // It can still be adopted.
    await using socket = adopt(connection, { binding: bound.binding });
    socket.destroy();
    await close(client);
  });
});

describe('a net.Socket that was adopted', () => {
  expectNoLeaks();

  it('and is destroyed by somebody else ends the stream with an error', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const client = await connectPlain(server.port);
    const connection = await accepted;
    await using socket = adopt(connection, { binding: bound.binding });
    const read = rejectionOf(readText(socket));
    connection.destroy();
    expect(await read).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
    expect(socket.error).toBe(await read);
    await close(client);
  });

  it('and is destroyed before it sent the end has the writing side fail', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const client = await connectPlain(server.port);
    const connection = await accepted;
    await using socket = adopt(connection, { binding: bound.binding });
    let finished = false;
    socket.writable.on('finish', () => (finished = true));
    const ended = new Promise((resolve) => socket.writable.end(resolve));
    const gone = once(socket, 'close');
    process.nextTick(() => connection.destroy());
    expect(await ended).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
    await gone;
    expect(finished).toBe(false);
    await close(client);
  });

  it('after it was ended can be read, and closed', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen({ pauseOnConnect: true, allowHalfOpen: true });
    const accepted = server.accept();
    const client = await connectPlain(server.port, LOOPBACK, { allowHalfOpen: true });
    client.resume();
    const connection = await accepted;
    connection.end('bye');
    await once(connection, 'finish');
    const socket = adopt(connection, { binding: bound.binding });
    client.end('hello');
    expect(await readText(socket)).toBe('hello');
    await socket.close();
    expect(socket.error).toBeUndefined();
    await close(client);
  });
});

describe("a 'close' listener that throws", () => {
  it("is an uncaught exception, as with Node's own, and close() resolves", async () => {
    const child = new Child('throwing-listeners');
    expect(await child.outcome()).toMatchObject({
      status: 0,
      stdout: [
        'uncaughtException: thrown by a listener of the socket',
        'the socket is closed',
        'uncaughtException: thrown by a listener of the server',
        'the server is closed',
        '',
      ].join('\n'),
    });
  });
});

describe('a process', () => {
  it('ends although close() of a socket that was unrefed waits', async () => {
    await using server = await PlainServer.listen({ allowHalfOpen: true });
    const child = new Child('idle', [server.port, 'closing']);
    expect(await child.outcome()).toMatchObject({
      status: 0,
      signal: null,
      stdout: 'waiting\nended\nnothing left to do\n',
    });
  });
});
