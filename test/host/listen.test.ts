/** Where a server listens, and what becomes of a listen() that fails. */
import { getEventListeners, once } from 'node:events';
import net from 'node:net';

import { createServer, type DevmemServer, type ListenOptions } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, connectPlain, LOOPBACK } from '../support/peers.js';
import { readText } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind } from '../support/transports.js';

const REASON = new Error('shutting down');
const CLOSED = { name: 'DevmemError', code: 'ERR_DEVMEM_CLOSED' };
const LISTENS_ALREADY = { code: 'ERR_SERVER_ALREADY_LISTEN' };

/** A port that something else listens at. */
async function busyPort(): Promise<{ port: number } & AsyncDisposable> {
  const server = net.createServer().listen(0, LOOPBACK);
  await once(server, 'listening');
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

/** A port that nothing listens at. */
async function freePort(): Promise<number> {
  await using busy = await busyPort();
  return busy.port;
}

/** As JavaScript would call it. */
function listenWith(server: DevmemServer, ...args: unknown[]): Promise<net.AddressInfo> {
  return server.listen(...(args as [ListenOptions]));
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

describe('listen()', () => {
  expectNoLeaks();

  it('takes a port, a host and a backlog as net.Server does', async () => {
    await using bound = await bind('copy');
    for (const more of [[], [LOOPBACK], [LOOPBACK, 5], [5]]) {
      const port = await freePort();
      await using server = createServer({ binding: bound.binding });
      expect((await listenWith(server, port, ...more)).port).toBe(port);
      if (more[0] === LOOPBACK) expect(server.address()).toMatchObject({ address: LOOPBACK });
    }
  });

  it.for([[[]], [[{}]], [[0]], [[{ port: undefined, host: LOOPBACK }]]])(
    'has the system choose a port where it is given %j',
    async ([args]) => {
      await using bound = await bind('copy');
      await using server = createServer({ binding: bound.binding });
      expect((await listenWith(server, ...args!)).port).toBeGreaterThan(0);
    },
  );

  it.for([
    ['a path among options', [{ path: '/tmp/nowhere.sock' }], 'only TCP'],
    ['a path and a port', [{ path: '/tmp/nowhere.sock', port: 0 }], 'only TCP'],
    ['a path', ['/tmp/nowhere.sock'], 'a number, or options'],
    ['a port that is text', ['5201'], 'a number, or options'],
    ['a descriptor', [{ fd: 0 }], 'opens a socket of its own'],
    ['a handle', [{ handle: {} }], 'opens a socket of its own'],
    ['a callback', [0, () => {}], 'await the promise'],
    ['a callback alone', [() => {}], 'await the promise'],
    ['a host that is none', [0, {}], '"host"'],
    ['a backlog that is none', [0, LOOPBACK, '5'], '"backlog"'],
    ['null', [null], 'an object'],
    ['a signal that is none', [{ signal: {} }], '"options.signal"'],
  ] as [string, unknown[], string][])('refuses %s, and can be called anew', async (row) => {
    const [, args, words] = row;
    await using bound = await bind('copy');
    await using server = createServer({ binding: bound.binding });
    const error = await rejectionOf(listenWith(server, ...args));
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_INVALID_ARG/) as unknown });
    expect(error.message).toContain(words);
    expect(server.listening).toBe(false);
    await server.listen({ host: LOOPBACK });
    expect(server.listening).toBe(true);
  });

  // Vitest fails a run with a rejection that nobody hears.
  it('tells each failure by its promise alone, and listens in the end', async () => {
    await using bound = await bind('copy');
    await using busy = await busyPort();
    await using server = createServer({ binding: bound.binding });
    const errors: unknown[] = [];
    server.on('error', (error) => errors.push(error));
    const codes: unknown[] = [];
    for (const port of [99_999, busy.port, -1]) {
      const error = await rejectionOf(server.listen({ port, host: LOOPBACK }));
      codes.push((error as NodeJS.ErrnoException).code);
    }
    expect(codes).toEqual(['ERR_SOCKET_BAD_PORT', 'EADDRINUSE', 'ERR_SOCKET_BAD_PORT']);
    await server.listen({ host: LOOPBACK });
    expect(server.listening).toBe(true);
    expect(errors).toEqual([]);
  });

  it('refuses to listen twice, and goes on to listen', async () => {
    await using bound = await bind('copy');
    await using server = createServer({ binding: bound.binding });
    const first = server.listen({ host: LOOPBACK });
    // Before the first is done, and after.
    expect(await rejectionOf(server.listen({ host: LOOPBACK }))).toMatchObject(LISTENS_ALREADY);
    const { port } = await first;
    expect(await rejectionOf(server.listen({ host: LOOPBACK }))).toMatchObject(LISTENS_ALREADY);
    expect(server.address()?.port).toBe(port);
  });

  it('refuses while the server closes, and after', async () => {
    await using bound = await bind('copy');
    const server = createServer({ binding: bound.binding });
    const first = server.listen({ host: LOOPBACK });
    const closed = server.close();
    expect(await rejectionOf(server.listen({ host: LOOPBACK }))).toMatchObject(CLOSED);
    await closed;
    await first;
    expect(server.listening).toBe(false);
    expect(await rejectionOf(server.listen({ host: LOOPBACK }))).toMatchObject(CLOSED);
    expect(server.listening).toBe(false);
  });
});

describe('the signal of listen()', () => {
  expectNoLeaks();

  it('that was aborted before rejects it with its reason, and close() does not wait', async () => {
    await using bound = await bind('copy');
    const server = createServer({ binding: bound.binding });
    const signal = AbortSignal.abort(REASON);
    expect(await rejectionOf(server.listen({ host: LOOPBACK, signal }))).toBe(REASON);
    expect(server.listening).toBe(false);
    await server.close();
  });

  it('that is aborted meanwhile rejects it with its reason and closes the server', async () => {
    await using bound = await bind('copy');
    const server = createServer({ binding: bound.binding });
    const controller = new AbortController();
    const port = await freePort();
    // Not by its address: names are looked up first.
    const starting = server.listen({ port, host: 'localhost', signal: controller.signal });
    controller.abort(REASON);
    expect(await rejectionOf(starting)).toBe(REASON);
    await server.close();
    expect(server.listening).toBe(false);
    const again = net.createServer().listen(port, 'localhost');
    await once(again, 'listening');
    again.close();
    await once(again, 'close');
  });

  it('closes the server and its connections when aborted', async () => {
    await using bound = await bind('copy');
    const server = createServer({ binding: bound.binding }, async (socket) => {
      await readText(socket);
    });
    const failed = once(server, 'socketError');
    const controller = new AbortController();
    const { port } = await server.listen({ host: LOOPBACK, signal: controller.signal });
    const connected = once(server, 'connection');
    const client = await connectPlain(port);
    client.on('error', () => {});
    client.resume();
    await connected;
    controller.abort(REASON);
    expect((await failed)[0]).toBe(REASON);
    await server.close();
    await closing(client);
    expect(server.listening).toBe(false);
  });
});

describe('no listener is left on the signal of', () => {
  expectNoLeaks();

  it('a server that was closed, whether it listened or not', async () => {
    await using bound = await bind('copy');
    const { signal } = new AbortController();
    for (const listens of [false, true]) {
      const server = createServer({ binding: bound.binding, signal });
      expect(listeners(signal)).toBe(1);
      if (listens) await server.listen({ host: LOOPBACK, signal });
      await server.close();
      expect(listeners(signal)).toBe(0);
    }
  });

  it('a listen() that failed', async () => {
    await using bound = await bind('copy');
    await using busy = await busyPort();
    await using server = createServer({ binding: bound.binding });
    const { signal } = new AbortController();
    for (const port of [busy.port, 99_999]) {
      await rejectionOf(server.listen({ port, host: LOOPBACK, signal }));
      expect(listeners(signal)).toBe(0);
    }
  });
});

describe('maxConnections', () => {
  expectNoLeaks();

  it("drops more connections than that, and tells in 'drop' whose they were", async () => {
    await using bound = await bind('copy');
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      await readText(socket);
    });
    expect(server.maxConnections).toBeUndefined();
    server.maxConnections = 1;
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection');
    const first = await connectPlain(port);
    await connected;
    const dropped = once(server, 'drop') as Promise<[net.DropArgument]>;
    const second = await connectPlain(port);
    second.on('error', () => {});
    second.resume();
    const { localPort } = second;
    const [addresses] = await dropped;
    expect(addresses).toMatchObject({ localPort: port, remotePort: localPort });
    await closing(second);
    expect(server.connections.size).toBe(1);

    server.maxConnections = undefined;
    const accepted = once(server, 'connection');
    const third = await connectPlain(port);
    await accepted;
    expect(server.connections.size).toBe(2);
    for (const client of [first, third]) {
      client.resume();
      client.end();
      await closing(client);
    }
  });

  it.for([0, -1, 1.5, '2', null])('cannot be %o', async (count) => {
    await using bound = await bind('copy');
    await using server = createServer({ binding: bound.binding });
    expect(() => (server.maxConnections = count as number)).toThrow('maxConnections');
    expect(server.maxConnections).toBeUndefined();
  });
});
