import { once } from 'node:events';
import type net from 'node:net';

import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';
import { PlainServer } from '../support/peers.js';
import { send } from '../support/stream.js';

const GIB = 2 ** 30;
const RECEIVING = ['waiting', 'flooded', 'holding', 'stalled'];
const STATES = [...RECEIVING, 'writing'];

/** Serves each connection: once asked, it sends without end and reads no more. */
function floodAll(server: PlainServer): void {
  const serve = async (): Promise<void> => {
    for (;;) void flood(await server.accept()).catch(() => {});
  };
  void serve();
}

async function flood(socket: net.Socket): Promise<void> {
  await once(socket, 'readable');
  await send(socket, GIB);
}

describe('a worker that alone loaded the addon', () => {
  it.for(STATES)('is terminated while %s, and the process goes on', async (state) => {
    await using server = await PlainServer.listen();
    floodAll(server);
    const child = new Child('terminate-worker', [server.port, state, 'terminate']);
    expect(await child.outcome()).toEqual({
      status: 0,
      signal: null,
      stdout: 'survived\n',
      stderr: '',
    });
  });

  it.for(STATES)('exits while %s, and the process goes on', async (state) => {
    await using server = await PlainServer.listen();
    floodAll(server);
    const child = new Child('terminate-worker', [server.port, state, 'exit']);
    expect(await child.outcome()).toEqual({
      status: 0,
      signal: null,
      stdout: 'survived\n',
      stderr: '',
    });
  });
});

describe('workers that do nothing but call the addon', () => {
  it.for(['a buffer', 'a promise'])('are terminated in the midst of making %s', async (what) => {
    const outcome = await new Child('terminate-busy-worker', [what]).outcome();
    expect(outcome).toEqual({ status: 0, signal: null, stdout: 'survived\n', stderr: '' });
  });

  // Under LeakSanitizer (`npm run test:sanitize`) it shows whether they are kept.
  it('make objects while they end', async () => {
    const outcome = await new Child('make-while-ending').outcome();
    expect(outcome).toEqual({ status: 0, signal: null, stdout: 'survived\n', stderr: '' });
  });

  it.for(['an array', 'memory'])('ends while it copies a stream to %s', async (what) => {
    await using server = await PlainServer.listen();
    floodAll(server);
    const child = new Child('terminate-copying-worker', [server.port, what]);
    const outcome = await child.outcome();
    expect(outcome).toEqual({ status: 0, signal: null, stdout: 'survived\n', stderr: '' });
  });
});

describe('a process', () => {
  it.for(STATES)('exits while %s, with its status', async (state) => {
    await using server = await PlainServer.listen();
    floodAll(server);
    const child = new Child('end-process', [server.port, state, 'exit']);
    expect(await child.outcome()).toEqual({ status: 7, signal: null, stdout: '', stderr: '' });
  });

  // Not while writing: leaving the loop waits until the peer has taken what was written.
  it.for(RECEIVING)('dies of an exception while %s, and of nothing else', async (state) => {
    await using server = await PlainServer.listen();
    floodAll(server);
    const outcome = await new Child('end-process', [server.port, state, 'throw']).outcome();
    expect(outcome).toMatchObject({ status: 1, signal: null });
    expect(outcome.stderr).toContain('thrown in mid-receive');
  });
});
