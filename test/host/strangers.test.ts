/**
 * Descriptors of other processes whose close(2) waits, for the peer of a TCP connection or
 * the server of a file: it holds up nobody else, wherever such a descriptor meets its end.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { encodeMessage } from '../../dist/ipc/message.js';
import { BrokerProcess } from '../support/broker.js';
import { answerOf, answerToRequest, hungUp, sendRequest } from '../support/broker-requests.js';
import { Child } from '../support/child.js';
import { itWhere } from '../support/conditions.js';
import {
  type Chunk,
  hasFuse,
  hasPython,
  type Kind,
  NO_FUSE,
  NO_PYTHON,
  Stranger,
} from '../support/stranger.js';
import { Folder } from '../support/unix.js';

const KINDS: readonly (readonly [Kind, ReturnType<typeof itWhere>])[] = [
  ['linger', itWhere(hasPython, NO_PYTHON)],
  ['fuse', itWhere(hasFuse, NO_FUSE)],
];

// Those that it serves (--max-clients), and those that it refuses.
const MAX_CONNECTIONS = 64 + 64;

let folder: Folder;
let socket: string;

beforeEach(() => {
  folder = new Folder();
  socket = folder.file('socket');
});

afterEach(() => {
  folder[Symbol.dispose]();
});

describe('a process that gets such a descriptor goes on', () => {
  const message = encodeMessage({ type: 'dma-buf', size: 4096 });
  const ways = {
    close: 'closes it',
    collect: 'forgets it',
    import: 'takes it for memory',
    receiveFd: 'takes it for memory that was sent',
  };

  for (const [kind, itHere] of KINDS) {
    for (const [way, does] of Object.entries(ways)) {
      itHere(`when it ${does}: ${kind}`, async () => {
        const child = new Child('receive-strangers', [socket, way]);
        await child.printed('listening');
        await using stranger = new Stranger(kind, { socket, receiver: child }, [[message, 1]]);
        await child.printed('alive');
        await stranger.letGo();
        const { status, stderr } = await child.outcome();
        expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      });
    }
  }
});

itWhere(hasPython, NO_PYTHON)(
  'a process goes on whose worker, which alone had the addon, ended while one was being closed',
  async () => {
    const child = new Child('strangers-worker', [socket]);
    await child.printed('listening');
    await using stranger = new Stranger('linger', { socket, receiver: child }, [
      [Buffer.from('x'), 1],
    ]);
    await child.printed('alone');
    await stranger.letGo();
    child.kill();
    const { status, signal, stdout, stderr } = await child.outcome();
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
    expect(stdout).toContain('survived');
  },
);

describe('a broker that gets such a descriptor serves others,', () => {
  const request = { version: 1, command: 'bind-rx', interface: 'lo', queues: [1], size: 2 ** 20 };
  const bytes = encodeMessage(request);
  const [start, rest] = [bytes.subarray(0, 10), bytes.subarray(10)];
  const full = /has 1 clients of user \d+ already/;
  let broker: BrokerProcess;

  // One client of a user at a time, so that it is seen whose closing still takes time.
  beforeEach(async () => {
    broker = await BrokerProcess.start(socket, '--allow', 'lo:0', '--max-clients-per-user', '1');
  });

  afterEach(() => broker[Symbol.asyncDispose]());

  const ways: Record<string, readonly Chunk[]> = {
    'of a request that is refused': [[bytes, 1]],
    'more than one': [[bytes, 3]],
    'in the midst of a request': [
      [start, 1],
      [rest, 1],
    ],
    'with what is no request': [[Buffer.from('\0\0\0\x01x'), 1]],
  };
  // These are closed with their connection. (Of a file, that asks nobody: there is no flush.)
  const unread: Record<string, readonly Chunk[]> = {
    'behind what is no request, and is not read': [
      [Buffer.from([255, 255, 255, 255]), 0],
      [bytes, 1],
    ],
    'behind its request, and is not read': [
      [bytes, 0],
      [bytes, 1],
    ],
  };

  for (const [kind, itHere] of KINDS) {
    for (const [way, chunks] of Object.entries(kind === 'linger' ? { ...ways, ...unread } : ways)) {
      itHere(`${way}: ${kind}`, async () => {
        await using stranger = new Stranger(kind, { socket, receiver: broker }, chunks);
        await stranger.sent();
        await broker.said('refused');
        await expect.poll(() => answerToRequest(socket, bytes, 1)).toMatch(full);
        await stranger.letGo();
        await expect.poll(() => answerToRequest(socket, bytes, 1)).toContain('does not give out');
        expect(await broker.end('SIGTERM')).toEqual([0, null]);
      });
    }
  }

  const itLingers = itWhere(hasPython, NO_PYTHON);

  itLingers('with a request that never ends', async () => {
    await using stranger = new Stranger('linger', { socket, receiver: broker }, [[start, 1]]);
    await stranger.sent();
    await broker.said('was not complete');
    expect(await answerToRequest(socket, bytes, 1)).toMatch(full);
    await stranger.letGo();
    await expect.poll(() => answerToRequest(socket, bytes, 1)).toContain('does not give out');
  });

  itLingers('from a client too many, of which nothing is read', async () => {
    const idle = await sendRequest(socket, start, 0);
    await using stranger = new Stranger('linger', { socket, receiver: broker }, [[bytes, 1]]);
    await stranger.sent();
    await broker.said('refused');
    expect(await answerToRequest(socket, bytes, 1)).toMatch(full);
    idle.socket.destroy();
    await expect.poll(() => answerToRequest(socket, bytes, 1)).toContain('does not give out');
    await stranger.letGo();
  });

  itLingers('and ends, whatever still waits', async () => {
    await using stranger = new Stranger('linger', { socket, receiver: broker }, [[bytes, 1]]);
    await stranger.sent();
    await broker.said('refused');
    expect(await broker.end('SIGTERM')).toEqual([0, null]);
    expect(folder.names()).toEqual([]);
    await stranger.letGo();
  });

  itLingers('until so many wait that it accepts nobody any more, and then again', async () => {
    await using stranger = new Stranger(
      'linger',
      { socket, receiver: broker },
      [[bytes, 1]],
      MAX_CONNECTIONS,
    );
    await stranger.sent();
    await broker.said('refused', MAX_CONNECTIONS);
    const last = await sendRequest(socket, bytes, 1);
    expect(broker.output.match(/refused/g)).toHaveLength(MAX_CONNECTIONS);
    await stranger.letGo();
    expect(await answerOf(last)).toMatch(/does not give out|has 1 clients/);
    await hungUp(last);
    await expect.poll(() => answerToRequest(socket, bytes, 1)).toContain('does not give out');
  });
});

it('a broker keeps to what it may have open, and accepts again once it has room', async () => {
  const request = encodeMessage({
    version: 1,
    command: 'bind-rx',
    interface: 'lo',
    queues: [1],
    size: 1,
  });
  await using broker = await BrokerProcess.limited(40, socket, '--allow', 'lo:0');
  const idle = await Promise.all(
    Array.from({ length: 40 }, () => sendRequest(socket, request.subarray(0, 4), 0)),
  );
  await broker.said('EMFILE');
  for (const unix of idle) unix.socket.destroy();
  await expect.poll(() => answerToRequest(socket, request, 1)).toContain('does not give out');
});
