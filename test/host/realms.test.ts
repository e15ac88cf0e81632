/** Values of another realm do where this one's do. */
import { once } from 'node:events';

import { adopt, connect, createServer } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { foreignBytes, foreignController } from '../support/foreign.js';
import { expectNoLeaks } from '../support/leaks.js';
import { close, closing, connectPlain, LOOPBACK, openPair, PlainServer } from '../support/peers.js';
import { plainPair } from '../support/plain-pair.js';
import { readText } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind } from '../support/transports.js';

const ABORTED = { name: 'AbortError' };

describe('bytes of another realm', () => {
  expectNoLeaks();

  it('are the head of an adopted stream', async () => {
    await using bound = await bind('copy');
    await using pair = await plainPair({ pauseOnConnect: true });
    const head = foreignBytes('one ');
    expect(head).not.toBeInstanceOf(Uint8Array);
    const socket = adopt(pair.socket, { binding: bound.binding, head });
    pair.peer.end('two');
    expect(await readText(socket)).toBe('one two');
  });

  it('are written to memory', async () => {
    await using bound = await bind('copy');
    bound.memory.write(5, foreignBytes('five'));
    expect(bound.memory.read(5, 4).toString()).toBe('five');
  });
});

describe('an abort signal of another realm', () => {
  expectNoLeaks();

  it('gives up connecting', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen();
    const options = { binding: bound.binding, host: LOOPBACK, port: server.port };
    const controller = foreignController();
    const attempt = connect({ ...options, signal: controller.signal });
    controller.abort();
    expect(await rejectionOf(attempt)).toMatchObject(ABORTED);
    const again = connect({ ...options, signal: controller.signal });
    expect(await rejectionOf(again)).toMatchObject(ABORTED);
  });

  it('closes a socket, and is left alone by one that was closed', async () => {
    await using bound = await bind('copy');
    const controller = foreignController();
    {
      await using closed = await openPair(bound.binding, { signal: controller.signal });
      await close(closed.peer);
      await closed.socket.close();
    }
    expect(controller.listeners).toBe(0);
    await using pair = await openPair(bound.binding, { signal: controller.signal });
    expect(controller.listeners).toBe(1);
    const waiting = rejectionOf(readText(pair.socket));
    controller.abort();
    expect(await waiting).toMatchObject(ABORTED);
  });

  it('closes a server, by either of the ways to give it one', async () => {
    await using bound = await bind('copy');
    const { binding } = bound;
    for (const way of ['createServer', 'listen'] as const) {
      const controller = foreignController();
      const option = { signal: controller.signal };
      const server = createServer({ binding, ...(way === 'createServer' && option) });
      const connected = once(server, 'connection');
      const { port } = await server.listen({ host: LOOPBACK, ...(way === 'listen' && option) });
      const client = await connectPlain(port);
      client.on('error', () => {});
      client.resume();
      await connected;
      controller.abort();
      await closing(client);
      await server.close();
      const late = createServer({ binding, ...option });
      expect(await rejectionOf(late.listen({ host: LOOPBACK }))).toMatchObject(ABORTED);
      expect(controller.listeners).toBe(0);
    }
  });
});
