import { once } from 'node:events';
import net from 'node:net';

import { createServer, type DevmemServer, type DevmemSocket } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close, closing, connectPlain, LOOPBACK, reset } from '../support/peers.js';
import { readText } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';

/** Counts the errors that a server emits, by event. */
function countErrors(server: DevmemServer): { error: number; socketError: number } {
  const counts = { error: 0, socketError: 0 };
  server.on('error', () => counts.error++);
  server.on('socketError', () => counts.socketError++);
  return counts;
}

describeOverTransports('a server', (transport) => {
  expectNoLeaks();

  it("emits a failed connection as 'socketError', with the socket", async () => {
    await using bound = await bind(transport);
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      await readText(socket);
    });
    const counts = countErrors(server);
    const { port } = await server.listen({ host: LOOPBACK });
    const failed = once(server, 'socketError') as Promise<[Error, DevmemSocket]>;
    const connected = once(server, 'connection');
    const client = await connectPlain(port);
    const [accepted] = (await connected) as [DevmemSocket];
    reset(client);
    const [error, socket] = await failed;
    expect(error).toMatchObject({ code: 'ECONNRESET' });
    expect(socket).toBe(accepted);
    expect(counts).toEqual({ error: 0, socketError: 1 });
    await closing(client);
  });

  it("goes on after a 'socketError' that nobody hears", async () => {
    await using bound = await bind(transport);
    const outcomes: string[] = [];
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      const read = readText(socket);
      outcomes.push(await read.catch((error: unknown) => (error as { code: string }).code));
      await read;
    });
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection') as Promise<[DevmemSocket]>;
    const client = await connectPlain(port);
    const [socket] = await connected;
    const gone = once(socket, 'close');
    reset(client);
    await gone;
    const second = await connectPlain(port);
    second.resume();
    second.end('still there');
    await closing(second);
    expect(outcomes).toEqual(['ECONNRESET', 'still there']);
    await closing(client);
  });

  it("emits what its handler throws as 'error' and destroys that connection alone", async () => {
    await using bound = await bind(transport);
    const thrown = new Error('bug in the handler');
    let connections = 0;
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      if (++connections === 1) throw thrown;
      await readText(socket);
    });
    const counts = countErrors(server);
    const failed = once(server, 'error').catch((error: unknown) => [error]);
    const { port } = await server.listen({ host: LOOPBACK });
    const client = await connectPlain(port);
    client.on('error', () => {});
    client.resume();
    expect(await failed).toEqual([thrown]);
    await closing(client);
    const second = await connectPlain(port);
    second.resume();
    second.end('hello');
    await closing(second);
    expect(counts).toEqual({ error: 1, socketError: 0 });
    expect(server.listening).toBe(true);
  });

  it('emits what a handler throws at once, without a promise, as error too', async () => {
    await using bound = await bind(transport);
    const thrown = new Error('bug in the handler');
    await using server = createServer({ binding: bound.binding }, () => {
      throw thrown;
    });
    const failed = once(server, 'error').catch((error: unknown) => [error]);
    const { port } = await server.listen({ host: LOOPBACK });
    const client = await connectPlain(port);
    client.on('error', () => {});
    client.resume();
    expect(await failed).toEqual([thrown]);
    await closing(client);
  });

  it('closes the connection when its handler returns', async () => {
    await using bound = await bind(transport);
    await using server = createServer({ binding: bound.binding }, () => {});
    const { port } = await server.listen({ host: LOOPBACK });
    const client = await connectPlain(port);
    client.resume();
    await closing(client);
    await expect.poll(() => server.connections.size, { interval: 1 }).toBe(0);
  });

  it('rejects listen() with the error of the system', async () => {
    await using bound = await bind(transport);
    const other = net.createServer().listen(0, LOOPBACK);
    await once(other, 'listening');
    const { port } = other.address() as net.AddressInfo;
    await using server = createServer({ binding: bound.binding });
    const error = await rejectionOf(server.listen({ host: LOOPBACK, port }));
    expect(error).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen' });
    expect(server.address()).toBeNull();
    other.close();
    await once(other, 'close');
  });

  it('survives connections that are reset before they are accepted', async () => {
    await using bound = await bind(transport);
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      await readText(socket).catch(() => {});
    });
    const counts = countErrors(server);
    const { port } = await server.listen({ host: LOOPBACK });
    // Connected and reset in one turn of the event loop that accepts them.
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectPlain(port)));
    for (const client of clients) reset(client);
    await Promise.all(clients.map(closing));
    const last = await connectPlain(port);
    last.resume();
    last.end();
    await closing(last);
    expect(counts.error).toBe(0);
    expect(server.listening).toBe(true);
    await close(last);
  });
});

describe('a server of which every binding was closed', () => {
  expectNoLeaks();

  it('warns once that it drops what comes', async () => {
    const first = await bind('copy');
    await using server = createServer({ binding: first.binding }, async (socket) => {
      await readText(socket);
    });
    const { port } = await server.listen({ host: LOOPBACK });
    const warnings: (Error & { code?: string })[] = [];
    const listener = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on('warning', listener);
    await first.binding.close();
    for (let i = 0; i < 3; i++) {
      const dropped = once(server, 'socketError');
      const client = await connectPlain(port);
      client.on('error', () => {});
      client.resume();
      expect((await dropped)[0]).toMatchObject({ code: 'ERR_DEVMEM_CLOSED' });
      await closing(client);
    }
    process.off('warning', listener);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({
      name: 'DevmemServerWarning',
      code: 'DEVMEM_SERVER_WITHOUT_BINDING',
      message: expect.stringContaining(`${LOOPBACK}:${port}`) as string,
    });
    await first[Symbol.asyncDispose]();
  });
});

describe('a peer', () => {
  it('cannot end the process by a reset while it is answered', async () => {
    const child = new Child('reply');
    const port = Number(await child.firstLine());
    const client = await connectPlain(port);
    client.pause();
    client.write('question');
    await once(client, 'readable');
    reset(client);
    await child.printed('connection closed');
    // Still serving: a second one is answered.
    const second = await connectPlain(port);
    second.write('question');
    await once(second, 'readable');
    await close(second);
    child.kill();
    expect(await child.outcome()).toMatchObject({ signal: 'SIGTERM', stderr: '' });
  });
});
