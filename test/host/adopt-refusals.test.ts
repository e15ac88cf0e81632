import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';

import { adopt, type Binding, connect, createServer } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK, PlainServer } from '../support/peers.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { bind } from '../support/transports.js';

const STATE = { name: 'DevmemError', code: 'ERR_DEVMEM_SOCKET_STATE' };

describe('adopt() refuses', () => {
  expectNoLeaks();

  it('TLS', async () => {
    await using bound = await bind('copy');
    const socket = new tls.TLSSocket(new net.Socket());
    const error = thrownBy(() => adopt(socket, { binding: bound.binding }));
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain('TLS');
    await close(socket);
  });

  it('a destroyed socket', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const socket = await connectPlain(server.port);
    const peer = await accepted;
    socket.destroy();
    const error = thrownBy(() => adopt(socket, { binding: bound.binding }));
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain('destroyed');
    await close(socket);
    await close(peer);
  });

  it('a socket that connects, and one that was never connected', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const idle = new net.Socket();
    expect(thrownBy(() => adopt(idle, { binding: bound.binding }))).toMatchObject(STATE);
    const socket = net.connect(server.port, LOOPBACK);
    const error = thrownBy(() => adopt(socket, { binding: bound.binding }));
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain("'connect'");
    await close(await accepted);
    await close(socket);
    await close(idle);
  });

  it('a pipe', async () => {
    await using bound = await bind('copy');
    const folder = mkdtempSync(path.join(tmpdir(), 'devmem-tcp-'));
    const server = net.createServer().listen(path.join(folder, 'pipe'));
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[net.Socket]>;
    const socket = net.connect(path.join(folder, 'pipe'));
    await once(socket, 'connect');
    const error = thrownBy(() => adopt(socket, { binding: bound.binding }));
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain('TCP');
    const [peer] = await accepted;
    await close(socket);
    await close(peer);
    server.close();
    await once(server, 'close');
    rmSync(folder, { recursive: true });
  });

  it.for([
    [{}, 'an instance of Object'],
    [null, 'null'],
    [undefined, 'undefined'],
    [5, 'type number (5)'],
  ] as const)('%o, which is no socket', async ([value, described]) => {
    await using bound = await bind('copy');
    const { binding } = bound;
    expect(thrownBy(() => adopt(value as net.Socket, { binding }))).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "socket" argument must be a net.Socket. Received ${described}`,
    });
  });
});

describe('what receives', () => {
  expectNoLeaks();

  it.for([undefined, null, {}, 'binding'])('needs a binding, which %o is not', async (value) => {
    const binding = value as Binding;
    const expected = {
      code: 'ERR_INVALID_ARG_TYPE',
      message: expect.stringContaining(
        'The "options.binding" argument must be a Binding, as bindRx() makes it. Received ',
      ) as string,
    };
    const socket = new net.Socket();
    expect(thrownBy(() => adopt(socket, { binding }))).toMatchObject(expected);
    expect(thrownBy(() => createServer({ binding }))).toMatchObject(expected);
    expect(await rejectionOf(connect({ binding, host: LOOPBACK, port: 1 }))).toMatchObject(
      expected,
    );
    await close(socket);
  });

  it('needs options at all', async () => {
    const none = undefined as unknown as { binding: Binding };
    const expected = { code: 'ERR_INVALID_ARG_TYPE' };
    expect(thrownBy(() => adopt(new net.Socket(), none))).toMatchObject(expected);
    expect(thrownBy(() => createServer(none))).toMatchObject(expected);
    expect(await rejectionOf(connect(none as Parameters<typeof connect>[0]))).toMatchObject(
      expected,
    );
  });

  it('needs a binding that is open', async () => {
    await using bound = await bind('copy');
    const { binding } = bound;
    await using server = await PlainServer.listen();
    const socket = await connectPlain(server.port);
    await binding.close();
    const expected = { name: 'DevmemError', code: 'ERR_DEVMEM_CLOSED' };
    expect(thrownBy(() => adopt(socket, { binding }))).toMatchObject(expected);
    expect(thrownBy(() => createServer({ binding }))).toMatchObject(expected);
    const attempt = connect({ binding, host: LOOPBACK, port: server.port });
    expect(await rejectionOf(attempt)).toMatchObject(expected);
    await close(socket);
  });

  it('needs a handler that can be called, if any', async () => {
    await using bound = await bind('copy');
    const handler = 'handler' as unknown as () => void;
    expect(thrownBy(() => createServer({ binding: bound.binding }, handler))).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
      message: `The "handler" argument must be a function. Received type string ('handler')`,
    });
  });
});
