/** Sockets that receive into several bindings' memory. What the kernel puts there: test/lab. */
import { once } from 'node:events';
import type net from 'node:net';

import {
  adopt,
  type Binding,
  bindRx,
  connect,
  createServer,
  type DevmemSocket,
  type StallMessage,
} from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Recorder } from '../support/diagnostics.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK, openPair, PlainServer } from '../support/peers.js';
import { readPattern, readText, send } from '../support/stream.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { bind } from '../support/transports.js';

const MiB = 2 ** 20;

/** Every way to give a socket what it receives into. */
async function refusals(binding: unknown): Promise<Error[]> {
  const options = { binding: binding as Binding };
  await using server = await PlainServer.listen();
  const accepted = server.accept();
  const socket = await connectPlain(server.port);
  const peer = await accepted;
  try {
    return [
      thrownBy(() => adopt(socket, options)),
      thrownBy(() => createServer(options)),
      await rejectionOf(connect({ ...options, host: LOOPBACK, port: server.port })),
    ];
  } finally {
    await close(peer);
    await close(socket);
  }
}

/** Less than a page: as if fragments of other sockets held all that they may, for good. */
const NO_ROOM = 4095;

describe('options.binding', () => {
  expectNoLeaks();

  it.for([
    ['nothing', []],
    ['something else among them', ['nonsense']],
  ])('cannot be a list of %s', async ([, list]) => {
    for (const error of await refusals(list)) expect(error).toBeInstanceOf(TypeError);
  });

  it('cannot be several with one of the copy transport among them, which errors say', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('copy');
    for (const error of await refusals([first.binding, second.binding])) {
      expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain('options.binding[1]');
      expect(error.message).toContain('copy');
    }
  });

  it('cannot be several with a closed one among them', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await second.binding.close();
    for (const error of await refusals([first.binding, second.binding])) {
      expect(error).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
      expect(error.message).toContain('options.binding[1]');
    }
  });

  it('may be a list of one, by any transport', async () => {
    await using bound = await bind('copy');
    await using pair = await openPair([bound.binding]);
    pair.peer.end('payload');
    expect(await readText(pair.socket)).toBe('payload');
  });
});

describe('a socket of several bindings', () => {
  expectNoLeaks();

  it('has each once, the first of them as its primary one', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await using pair = await openPair([first.binding, second.binding, first.binding]);
    expect(pair.socket.binding).toBe(first.binding);
    expect(pair.socket.bindings).toEqual([first.binding, second.binding]);
    expect(pair.socket.transport).toBe('cmsg');
  });

  it('receives', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await using pair = await openPair([first.binding, second.binding]);
    const sent = send(pair.peer, 8 * MiB).then(() => pair.peer.end());
    expect(await readPattern(pair.socket)).toBe(8 * MiB);
    await sent;
  });

  it('keeps the memory of each for as long as it is open', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    const again = { memory: second.memory, mode: 'copy' } as const;
    {
      await using pair = await openPair([first.binding, second.binding]);
      await second.binding.close();
      await expect(bindRx(again)).rejects.toMatchObject({ code: 'ERR_DEVMEM_MEMORY_IN_USE' });
      await pair.socket.close();
    }
    await using binding = await bindRx(again);
    expect(binding.closed).toBe(false);
  });

  it.for([0, 1])('is not read while binding %i holds its limit', async (index) => {
    const limits = [MiB, 2 * MiB].map((limit, at) => (at === index ? NO_ROOM : limit));
    await using first = await bind('cmsg', { heldLimit: limits[0]! });
    await using second = await bind('cmsg', { heldLimit: limits[1]!, id: 2 });
    await using pair = await openPair([first.binding, second.binding]);
    using stalls = new Recorder<StallMessage>('devmem-tcp:stall');
    const stalled = stalls.next();
    const reading = readText(pair.socket);
    pair.peer.end('payload');
    expect(await stalled).toMatchObject({ heldBytes: 0, heldLimit: NO_ROOM });
    await pair.socket.close();
    expect(await reading).toBe('');
    expect(pair.socket.stats).toMatchObject({ stalls: 1, linearBytes: 0 });
  });
});

describe('addBinding() of a socket', () => {
  expectNoLeaks();

  it('adds one in mid-stream, a second time none', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await using pair = await openPair(first.binding);
    const sent = send(pair.peer, 8 * MiB).then(() => pair.peer.end());
    let bytes = 0;
    for await (using batch of pair.socket.batches()) {
      bytes += batch.byteLength;
      pair.socket.addBinding(second.binding);
    }
    await sent;
    expect(bytes).toBe(8 * MiB);
    expect(pair.socket.bindings).toEqual([first.binding, second.binding]);
  });

  it('refuses anything but an open binding of the devmem path', async () => {
    await using first = await bind('cmsg');
    await using copies = await bind('copy');
    await using closed = await bind('cmsg', { id: 2 });
    await closed.binding.close();
    await using pair = await openPair(first.binding);
    const { socket } = pair;
    const add = (what: unknown) => thrownBy(() => socket.addBinding(what as Binding));
    expect(add('nonsense')).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(add(copies.binding)).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(add(closed.binding)).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
    expect(socket.bindings).toEqual([first.binding]);
  });

  it('refuses any on the copy transport', async () => {
    await using copies = await bind('copy');
    await using other = await bind('cmsg');
    await using pair = await openPair(copies.binding);
    const error = thrownBy(() => pair.socket.addBinding(other.binding));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
  });

  it('refuses any once the connection is gone', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await using pair = await openPair(first.binding);
    await pair.socket.close();
    const error = thrownBy(() => pair.socket.addBinding(second.binding));
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
    await second.binding.close();
    await using again = await bindRx({ memory: second.memory, mode: 'copy' });
    expect(again.closed).toBe(false);
  });
});

describe('addBinding() of a server', () => {
  expectNoLeaks();

  it('concerns connections of before, and is the first binding of later ones', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await using server = createServer({ binding: first.binding });
    const { port } = await server.listen({ host: LOOPBACK });
    const accept = async (): Promise<[DevmemSocket, net.Socket]> => {
      const accepted = once(server, 'connection') as Promise<[DevmemSocket]>;
      const peer = await connectPlain(port);
      return [(await accepted)[0], peer];
    };
    const [before, beforePeer] = await accept();
    server.addBinding(second.binding);
    const [after, afterPeer] = await accept();
    expect(before.bindings).toEqual([first.binding, second.binding]);
    expect(after.bindings).toEqual([second.binding, first.binding]);
    expect(server.bindings).toEqual([second.binding, first.binding]);
    await Promise.all([close(beforePeer), close(afterPeer)]);
  });

  it('brings a server whose binding was closed back into service', async () => {
    await using first = await bind('cmsg');
    await using server = createServer(
      { binding: first.binding, allowHalfOpen: true },
      async (socket) => {
        await readText(socket);
        socket.writable.end(String(socket.binding.id));
      },
    );
    const { port } = await server.listen({ host: LOOPBACK });
    await first.binding.close();

    const refused = once(server, 'socketError') as Promise<[Error]>;
    const early = await connectPlain(port);
    expect((await refused)[0]).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
    await close(early);

    await using second = await bind('cmsg', { id: 2 });
    server.addBinding(second.binding);
    const peer = await connectPlain(port, LOOPBACK, { allowHalfOpen: true });
    peer.end('payload');
    const [reply] = (await once(peer, 'data')) as [Buffer];
    expect(String(reply)).toBe('2');
    await close(peer);
  });

  it('forgets a closed binding whose memory another one has', async () => {
    await using first = await bind('cmsg');
    await using second = await bind('cmsg', { id: 2 });
    await using third = await bind('cmsg', { id: 3 });
    await using server = createServer({ binding: first.binding });
    await first.binding.close();
    server.addBinding(second.binding);
    expect(server.bindings).toEqual([second.binding, first.binding]);
    await using again = await bindRx({ memory: first.memory, mode: 'copy' });
    server.addBinding(third.binding);
    expect(server.bindings).toEqual([third.binding, second.binding]);
    expect(again.closed).toBe(false);
  });
});
