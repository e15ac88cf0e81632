/** sendFd() and receiveFd(): what they refuse, and what goes over the wire. */
import { execFile, spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { readlinkSync } from 'node:fs';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';

import { DmaBuf, receiveFd, sendFd } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { descriptorOf } from '../../dist/ipc/handle.js';
import { encodeMessage, readMessage, writeMessage } from '../../dist/ipc/message.js';
import { closeStrangers } from '../../dist/ipc/strangers.js';
import { UnixSocket } from '../../dist/ipc/unix-socket.js';
import type { OwnedFd } from '../../dist/native.js';
import { itWhere } from '../support/conditions.js';
import { expectNoLeaks, resources } from '../support/leaks.js';
import { memfd } from '../support/memfd.js';
import { close, connectPlain, PlainServer } from '../support/peers.js';
import { rejectionOf } from '../support/thrown.js';
import { unixPair } from '../support/unix.js';

const SIZE = 64 * 1024;
const BAD = { name: 'DevmemError', code: 'ERR_DEVMEM_BAD_MESSAGE' };
const STATE = { name: 'DevmemError', code: 'ERR_DEVMEM_SOCKET_STATE' };

const run = promisify(execFile);
const hasPython = await run('python3', ['-c', 'import socket; socket.recv_fds']).then(
  () => true,
  () => false,
);

/** What receiveFd() says to these bytes with so many descriptors. */
async function refusalOf(bytes: Uint8Array, fds: number, end = true): Promise<Error> {
  await using pair = await unixPair();
  const received = rejectionOf(receiveFd(pair.accepted));
  const files = Array.from({ length: fds }, () => memfd());
  const numbers = files.map((file) => file.fd);
  await UnixSocket.of(pair.client).write(bytes, numbers);
  for (const file of files) file.close();
  if (end) pair.client.end();
  return await received;
}

describe('receiveFd()', () => {
  expectNoLeaks();

  it.for([
    ['that is no JSON', Buffer.from('\0\0\0\x02{x'), 'is not JSON'],
    ['of another type', encodeMessage({ type: 'fish', size: SIZE }), 'of type "fish"'],
    ['of no type', encodeMessage({ size: SIZE }), 'of type undefined'],
    ['of no size', encodeMessage({ type: 'dma-buf' }), 'has the size undefined'],
    ['of a size that is none', encodeMessage({ type: 'dma-buf', size: -1 }), 'has the size -1'],
    ['longer than 4096 bytes', encodeMessage({ type: 'x'.repeat(5000) }), '4096 are the most'],
    ['that is cut off', encodeMessage({ type: 'dma-buf', size: SIZE }).subarray(0, 9), 'ended'],
  ] as const)('refuses a message %s', async ([, bytes, reason]) => {
    const error = await refusalOf(bytes, 1);
    expect(error).toMatchObject(BAD);
    expect(error.message).toContain(reason);
  });

  it('refuses a message without a descriptor, and one with two', async () => {
    const bytes = encodeMessage({ type: 'dma-buf', size: SIZE });
    const without = await refusalOf(bytes, 0, false);
    expect(without).toMatchObject(BAD);
    expect(without.message).toContain('has no descriptor');
    expect(await refusalOf(bytes, 2, false)).toMatchObject(BAD);
  });

  it('tells that the other end closed without sending anything', async () => {
    const error = await refusalOf(Buffer.alloc(0), 0);
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain('no memory came');
  });

  it('refuses a socket of which Node has read something, and keeps that', async () => {
    await using pair = await unixPair({ pauseOnConnect: false });
    const readable = new Promise((resolve) => pair.accepted.once('readable', resolve));
    await UnixSocket.of(pair.client).write(encodeMessage({ type: 'dma-buf', size: SIZE }), []);
    await readable;
    const error = await rejectionOf(receiveFd(pair.accepted));
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain('pauseOnConnect');
    expect(pair.accepted.readableLength).toBeGreaterThan(0);
  });

  it('ends with its signal, and with its socket', async () => {
    await using pair = await unixPair();
    const controller = new AbortController();
    const waiting = rejectionOf(receiveFd(pair.accepted, { signal: controller.signal }));
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    const again = rejectionOf(receiveFd(pair.accepted));
    pair.accepted.destroy();
    expect(await again).toMatchObject(STATE);
  });

  it('reads its message and nothing of what follows', async () => {
    await using pair = await unixPair();
    const received = rejectionOf(receiveFd(pair.accepted));
    const bytes = encodeMessage({ type: 'fish', size: SIZE });
    await UnixSocket.of(pair.client).write(Buffer.concat([bytes, Buffer.from('and more')]), []);
    expect(await received).toMatchObject(BAD);
    const data = new Promise((resolve) => pair.accepted.once('data', resolve));
    pair.accepted.resume();
    expect(String(await data)).toBe('and more');
  });
});

/** What asks a socket for data, and when: before receiveFd() waits, or meanwhile. */
const ASKING: [name: string, ask: (socket: net.Socket) => void, when: 'before' | 'meanwhile'][] = [
  ['resume() just before', (socket) => void socket.resume(), 'before'],
  ['resume()', (socket) => void socket.resume(), 'meanwhile'],
  ['read()', (socket) => void socket.read(), 'meanwhile'],
  ["a 'readable' listener", (socket) => void socket.on('readable', () => {}), 'meanwhile'],
];

describe('while receiveFd() waits', () => {
  expectNoLeaks();

  it.for(ASKING)('Node does not read in its place: %s', async ([, ask, when]) => {
    await using pair = await unixPair();
    const { accepted } = pair;
    if (when === 'before') ask(accepted);
    const received = rejectionOf(receiveFd(accepted));
    await nextTurn();
    if (when === 'meanwhile') ask(accepted);
    await nextTurn();
    const bytes = encodeMessage({ type: 'fish', size: SIZE });
    await UnixSocket.of(pair.client).write(Buffer.concat([bytes, Buffer.from('and more')]), []);
    expect((await received).message).toContain('of type "fish"');
    // What it asked for, it has then.
    accepted.removeAllListeners('readable');
    const data = new Promise((resolve) => accepted.once('data', resolve));
    accepted.resume();
    expect(String(await data)).toBe('and more');
  });

  it('a refusal leaves the socket as it was: Node reads on', async () => {
    await using pair = await unixPair({ pauseOnConnect: false });
    const { accepted, client } = pair;
    const readable = once(accepted, 'readable');
    client.write('one ');
    await readable;
    expect(await rejectionOf(receiveFd(accepted))).toMatchObject(STATE);
    client.end('two');
    let text = '';
    for await (const piece of accepted) text += String(piece);
    expect(text).toBe('one two');
  });
});

describe('sendFd()', () => {
  expectNoLeaks();

  it('refuses memory that is none, or closed', async () => {
    await using pair = await unixPair();
    expect(await rejectionOf(sendFd(pair.client, {} as unknown as DmaBuf))).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
    const memory = await DmaBuf.allocate({ type: 'host', size: SIZE });
    await memory.close();
    expect(await rejectionOf(sendFd(pair.client, memory))).toMatchObject({
      code: 'ERR_DEVMEM_CLOSED',
    });
  });
});

describe('a socket to pass memory over', () => {
  expectNoLeaks();

  it('is a net.Socket', async () => {
    const none = {} as unknown as net.Socket;
    const expected = {
      code: 'ERR_INVALID_ARG_TYPE',
      message: 'The "socket" argument must be a net.Socket. Received an instance of Object',
    };
    expect(await rejectionOf(receiveFd(none))).toMatchObject(expected);
    expect(await rejectionOf(receiveFd(undefined as unknown as net.Socket))).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });

  it('is a Unix-domain socket, connected and open', async () => {
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const tcp = await connectPlain(server.port);
    const error = await rejectionOf(receiveFd(tcp));
    expect(error).toMatchObject(STATE);
    expect(error.message).toContain('Unix-domain');
    await close(tcp);
    expect(await rejectionOf(receiveFd(tcp))).toMatchObject(STATE);
    await close(await accepted);
    const idle = new net.Socket();
    expect(await rejectionOf(receiveFd(idle))).toMatchObject(STATE);
    await close(idle);
  });
});

describe('passing memory a hundred times', () => {
  expectNoLeaks();

  it('leaves no listener behind, at the socket or at the signal', async () => {
    await using pair = await unixPair();
    const { signal } = new AbortController();
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warn);
    const counts = (): unknown => [
      ...[pair.client, pair.accepted].map((socket) =>
        Object.fromEntries(socket.eventNames().map((name) => [name, socket.listenerCount(name)])),
      ),
      getEventListeners(signal, 'abort').length,
    ];
    const exchange = async (): Promise<void> => {
      const received = rejectionOf(receiveFd(pair.accepted, { signal }));
      // It waits by now, with all its listeners.
      await nextTurn();
      await UnixSocket.of(pair.client).write(encodeMessage({ type: 'fish' }), [], { signal });
      await received;
    };
    await exchange();
    const before = counts();
    for (let i = 0; i < 100; i++) await exchange();
    expect(counts()).toEqual(before);
    process.off('warning', warn);
    expect(warnings).toEqual([]);
  });
});

describe('messages', () => {
  expectNoLeaks();

  it('come in order and whole, each with its descriptors, however full the socket is', async () => {
    await using pair = await unixPair();
    const [client, accepted] = [UnixSocket.of(pair.client), UnixSocket.of(pair.accepted)];
    accepted.takeOver();
    const file = memfd();
    const padding = 'x'.repeat(60_000);
    const written = (async () => {
      for (let i = 0; i < 20; i++) {
        const fds = new Array<number>(i % 3).fill(file.fd);
        await writeMessage(client, { number: i, padding }, fds);
      }
    })();
    for (let i = 0; i < 20; i++) {
      const fds: OwnedFd[] = [];
      const content = await readMessage(accepted, fds, { maxBytes: 65536, maxFds: 2 });
      expect(content).toEqual({ number: i, padding });
      expect(fds).toHaveLength(i % 3);
      await closeStrangers(fds);
    }
    await written;
    file.close();
  });

  it('go after what was written to the socket before', async () => {
    await using pair = await unixPair();
    const first = Buffer.alloc(2 ** 20, 1);
    pair.client.write(first);
    const sent = writeMessage(UnixSocket.of(pair.client), { after: true }, []);
    const accepted = UnixSocket.of(pair.accepted);
    accepted.takeOver();
    const before = Buffer.alloc(first.length);
    for (let at = 0; at < before.length;) {
      at += (await accepted.read(before.subarray(at))).bytes;
    }
    expect(before.equals(first)).toBe(true);
    const content = await readMessage(accepted, [], { maxBytes: 4096, maxFds: 0 });
    expect(content).toEqual({ after: true });
    await sent;
  });

  itWhere(hasPython, "no python3 with socket.recv_fds: Debian's python3 enables this")(
    'are what Python sends and receives with send_fds and recv_fds',
    async () => {
      await using pair = await unixPair();
      const program = `
import json, os, socket, struct
connection = socket.socket(fileno=3)
data, fds, _, _ = socket.recv_fds(connection, 4096, 1)
(size,) = struct.unpack('>I', data[:4])
content = json.loads(data[4:4 + size])
assert os.fstat(fds[0]).st_size == content['size'], content
answer = json.dumps({'type': 'dma-buf', 'size': content['size'] * 2}).encode()
socket.send_fds(connection, [struct.pack('>I', len(answer)) + answer], [fds[0]])
`;
      const number = descriptorOf(pair.client, 'Pipe')!;
      const python = spawn('python3', ['-c', program], {
        stdio: ['ignore', 'inherit', 'inherit', number],
      });
      const exited = once(python, 'exit');
      const accepted = UnixSocket.of(pair.accepted);
      accepted.takeOver();
      const file = memfd();
      await writeMessage(accepted, { type: 'dma-buf', size: SIZE }, [file.fd]);
      const fds: OwnedFd[] = [];
      const content = await readMessage(accepted, fds, { maxBytes: 4096, maxFds: 1 });
      expect(content).toEqual({ type: 'dma-buf', size: 2 * SIZE });
      const [back] = fds;
      const target = (fd: OwnedFd): string => readlinkSync(`/proc/self/fd/${fd.fd}`);
      expect(target(back!)).toBe(target(file));
      expect(await exited).toEqual([0, null]);
      await closeStrangers(fds);
      file.close();
      expect(resources().memoryFiles).toBe(0);
    },
  );
});
