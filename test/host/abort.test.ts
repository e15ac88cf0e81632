import { once } from 'node:events';
import net from 'node:net';

import { adopt, connect, createServer } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK, openPair, PlainServer } from '../support/peers.js';
import { readText } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';

const REASON = new Error('shutting down');

describeOverTransports('an abort signal', (transport) => {
  expectNoLeaks();

  it('that was aborted before refuses to connect', async () => {
    await using bound = await bind(transport);
    const signal = AbortSignal.abort(REASON);
    const attempt = connect({ binding: bound.binding, host: LOOPBACK, port: 1, signal });
    expect(await rejectionOf(attempt)).toBe(REASON);
  });

  it('gives up connecting', async () => {
    await using bound = await bind(transport);
    await using server = await PlainServer.listen();
    const controller = new AbortController();
    const { signal } = controller;
    const attempt = connect({ binding: bound.binding, host: LOOPBACK, port: server.port, signal });
    controller.abort(REASON);
    expect(await rejectionOf(attempt)).toBe(REASON);
  });

  it('rejects the read that waits with its reason and closes the connection', async () => {
    await using bound = await bind(transport);
    const controller = new AbortController();
    await using pair = await openPair(bound.binding, { signal: controller.signal });
    const gone = once(pair.socket, 'close');
    const iterator = pair.socket[Symbol.asyncIterator]();
    const waiting = rejectionOf(iterator.next());
    controller.abort(REASON);
    expect(await waiting).toBe(REASON);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
    await gone;
    expect(pair.socket.error).toBe(REASON);
  });

  it('rejects with an AbortError where no reason was given', async () => {
    await using bound = await bind(transport);
    const controller = new AbortController();
    await using pair = await openPair(bound.binding, { signal: controller.signal });
    const waiting = rejectionOf(pair.socket.batches().next());
    controller.abort();
    expect(await waiting).toMatchObject({ name: 'AbortError' });
  });

  it('does nothing once the connection is over', async () => {
    await using bound = await bind(transport);
    const controller = new AbortController();
    await using pair = await openPair(bound.binding, { signal: controller.signal });
    pair.peer.end('bye');
    expect(await readText(pair.socket)).toBe('bye');
    await pair.socket.close();
    controller.abort(REASON);
    expect(pair.socket.error).toBeUndefined();
    expect(await readText(pair.socket)).toBe('');
  });

  it('that was aborted before closes an adopted socket', async () => {
    await using bound = await bind(transport);
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const client = await connectPlain(server.port);
    client.on('error', () => {});
    const signal = AbortSignal.abort(REASON);
    const socket = adopt(await accepted, { binding: bound.binding, signal });
    expect(await rejectionOf(readText(socket))).toBe(REASON);
    await socket.close();
    await close(client);
  });

  it('closes a server and its connections', async () => {
    await using bound = await bind(transport);
    const controller = new AbortController();
    const { signal } = controller;
    const reads: Promise<Error>[] = [];
    const server = createServer({ binding: bound.binding, signal }, async (socket) => {
      const read = readText(socket);
      reads.push(rejectionOf(read));
      await read;
    });
    const failed = once(server, 'socketError');
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection');
    const client = await connectPlain(port);
    client.on('error', () => {});
    await connected;
    const gone = once(server, 'close');
    controller.abort(REASON);
    await gone;
    expect(await Promise.all(reads)).toEqual([REASON]);
    expect((await failed)[0]).toBe(REASON);
    expect(server.listening).toBe(false);
    await close(client);
  });

  it('that was aborted before keeps a server from listening', async () => {
    await using bound = await bind(transport);
    const signal = AbortSignal.abort(REASON);
    await using server = createServer({ binding: bound.binding, signal });
    await server.listen({ host: LOOPBACK }).catch((error: unknown) => {
      expect(error).toBe(REASON);
    });
    expect(server.listening).toBe(false);
  });
});

it('refuses a connection that nobody accepts, as net.connect does', async () => {
  await using bound = await bind('copy');
  const server = net.createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  const error = await rejectionOf(connect({ binding: bound.binding, host: LOOPBACK, port }));
  expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
});
