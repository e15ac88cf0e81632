/** What connect() heeds, refuses, and leaves behind when it fails. */
import { getEventListeners, once } from 'node:events';
import type { LookupFunction } from 'node:net';

import { type Binding, bindRx, connect, type ConnectOptions } from 'devmem-tcp';
import { afterEach, describe, expect, it, vi } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, LOOPBACK, PlainServer } from '../support/peers.js';
import { readText } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind } from '../support/transports.js';

const IN_USE = { code: 'ERR_DEVMEM_MEMORY_IN_USE' };

/** A port that nothing listens at. */
async function closedPort(): Promise<number> {
  await using server = await PlainServer.listen();
  return server.port;
}

/** Has a name stand for these addresses. */
function lookupOf(...addresses: string[]): LookupFunction {
  return (_name, _options, callback) => {
    callback(
      null,
      addresses.map((address) => ({ address, family: 4 })),
    );
  };
}

/** A name server that never answers. */
const NO_ANSWER: LookupFunction = () => {};

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

/** Ways for connect() to fail. */
const FAILURES: [string, (binding: Binding) => Promise<unknown>][] = [
  [
    'was refused',
    async (binding) => connect({ binding, host: LOOPBACK, port: await closedPort() }),
  ],
  ['had a port that cannot be', (binding) => connect({ binding, host: LOOPBACK, port: 99_999 })],
  [
    'took too long',
    (binding) => connect({ binding, host: 'x', port: 1, lookup: NO_ANSWER, timeout: 5 }),
  ],
  [
    'was aborted',
    (binding) => {
      const controller = new AbortController();
      const { signal } = controller;
      const attempt = connect({ binding, host: 'x', port: 1, lookup: NO_ANSWER, signal });
      controller.abort();
      return attempt;
    },
  ],
];

describe('while connect() waits', () => {
  expectNoLeaks();

  it('its memory is not bound anew, though the binding was closed', async () => {
    await using bound = await bind('copy');
    const { memory, binding } = bound;
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const connecting = connect({ binding, host: LOOPBACK, port: server.port });
    await binding.close();
    expect(await rejectionOf(bindRx({ memory, mode: 'copy' }))).toMatchObject(IN_USE);
    const socket = await connecting;
    const peer = await accepted;
    expect(await rejectionOf(bindRx({ memory, mode: 'copy' }))).toMatchObject(IN_USE);
    peer.end('mine');
    expect(await readText(socket)).toBe('mine');
    await socket.close();
    await using again = await bindRx({ memory, mode: 'copy' });
    expect(again.closed).toBe(false);
  });

  it.for(FAILURES)('and %s, its memory is free again', async ([, fail]) => {
    await using bound = await bind('copy');
    const { memory, binding } = bound;
    const failing = rejectionOf(fail(binding));
    await failing;
    await binding.close();
    await using again = await bindRx({ memory, mode: 'copy' });
    expect(again.closed).toBe(false);
  });
});

describe('the timeout of connect()', () => {
  expectNoLeaks();

  afterEach(() => {
    vi.useRealTimers();
  });

  it('rejects with ETIMEDOUT and the address', async () => {
    await using bound = await bind('copy');
    const { binding } = bound;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const error = rejectionOf(
      connect({ binding, host: 'x.test', port: 5, lookup: NO_ANSWER, timeout: 10_000 }),
    );
    vi.advanceTimersByTime(10_000);
    expect(await error).toMatchObject({
      code: 'ETIMEDOUT',
      errno: -110,
      syscall: 'connect',
      address: 'x.test',
      port: 5,
      message: expect.stringContaining(
        'x.test:5 not reached in the 10000 ms of options.timeout',
      ) as unknown,
    });
    vi.useRealTimers();
  });

  it('is over once there is a connection, however long that is idle', async () => {
    await using bound = await bind('copy');
    const { binding } = bound;
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const timeout = 10_000;
    const socket = await connect({ binding, host: LOOPBACK, port: server.port, timeout });
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(100_000);
    vi.useRealTimers();
    (await accepted).end('whole');
    expect(await readText(socket)).toBe('whole');
    await socket.close();
  });

  it.for([-1, 1.5, '5', null, 2 ** 31])('cannot be %o', async (timeout) => {
    await using bound = await bind('copy');
    const { binding } = bound;
    const options = { binding, port: 1, timeout } as ConnectOptions;
    const error = await rejectionOf(connect(options));
    expect(error.message).toContain('"options.timeout"');
  });
});

describe('a name of several addresses', () => {
  expectNoLeaks();

  it('that all refuse is told with each of them', async () => {
    await using bound = await bind('copy');
    const port = await closedPort();
    const lookup = lookupOf('127.0.0.1', '127.0.0.2');
    const error = await rejectionOf(
      connect({ binding: bound.binding, host: 'two.test', port, lookup }),
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', errno: -111 });
    expect(error.message).toBe(
      `connect ECONNREFUSED 127.0.0.1:${port}; connect ECONNREFUSED 127.0.0.2:${port}`,
    );
    expect(error.stack).toContain(error.message);
    expect((error as AggregateError).errors).toHaveLength(2);
  });

  it('is connected to at one that does not, and no byte is lost', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen({}, '127.0.0.2');
    const accepted = server.accept().then((peer) => peer.end('whole'));
    const lookup = lookupOf('127.0.0.1', '127.0.0.2');
    const { binding } = bound;
    const socket = await connect({ binding, host: 'two.test', port: server.port, lookup });
    expect(socket.remoteAddress).toBe('127.0.0.2');
    expect(await readText(socket)).toBe('whole');
    await accepted;
    await socket.close();
  });
});

describe('connect() refuses', () => {
  expectNoLeaks();

  it.for([
    ['path', '/tmp/nowhere.sock', 'only TCP'],
    ['fd', 0, 'adopt()'],
    ['handle', {}, 'adopt()'],
    ['onread', { buffer: Buffer.alloc(1), callback: () => true }, 'as fragments'],
    ['encoding', 'utf8', 'as fragments'],
    ['read', () => {}, 'as fragments'],
    ['readable', false, 'both directions'],
    ['writable', false, 'both directions'],
    ['signal', {}, 'AbortSignal'],
    ['signal', null, 'AbortSignal'],
    ['lowWaterMark', 0, '>= 1'],
  ] as [string, unknown, string][])('the option %s as %o', async ([name, value, words]) => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen();
    let connections = 0;
    void server.accept().then(() => connections++);
    const options = { binding: bound.binding, host: LOOPBACK, port: server.port, [name]: value };
    const error = await rejectionOf(connect(options));
    expect(error).toMatchObject({
      code: expect.stringMatching(/^ERR_(INVALID_ARG|OUT_OF)/) as unknown,
    });
    expect(error.message).toContain(`"options.${name}"`);
    expect(error.message).toContain(words);
    expect(connections).toBe(0);
  });
});

describe('no listener is left on the signal of', () => {
  expectNoLeaks();

  it('a connect() that failed', async () => {
    await using bound = await bind('copy');
    const { signal } = new AbortController();
    const port = await closedPort();
    await rejectionOf(connect({ binding: bound.binding, host: LOOPBACK, port, signal }));
    expect(listeners(signal)).toBe(0);
  });

  it('a connection that was closed', async () => {
    await using bound = await bind('copy');
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const { signal } = new AbortController();
    const { binding } = bound;
    const socket = await connect({ binding, host: LOOPBACK, port: server.port, signal });
    expect(listeners(signal)).toBe(1);
    const gone = once(socket, 'close');
    await close(await accepted);
    await socket.close();
    await gone;
    expect(listeners(signal)).toBe(0);
  });
});
