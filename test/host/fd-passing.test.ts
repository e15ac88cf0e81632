/** Descriptors over Unix-domain sockets: the system calls, and what must not leak. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import net from 'node:net';

import { describe, expect, it } from 'vitest';

import { descriptorOf, readOn, stopReading } from '../../dist/ipc/handle.js';
import { closeStrangers } from '../../dist/ipc/strangers.js';
import { native, type ReceivedFds } from '../../dist/native.js';
import { expectNoLeaks } from '../support/leaks.js';
import { memfd } from '../support/memfd.js';
import { close, connectPlain, PlainServer } from '../support/peers.js';
import { thrownBy } from '../support/thrown.js';
import { unixPair } from '../support/unix.js';

const EBADF = -9;
const EAGAIN = -11;
const EPIPE = -32;
const ENOTSOCK = -88;

/** Descriptors of a memfd: what else is open is the test runner's too, and comes and goes. */
function descriptorsOf(name: string): number {
  const isOne = (fd: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === `/memfd:${name} (deleted)`;
    } catch {
      return false; // closed meanwhile
    }
  };
  return readdirSync('/proc/self/fd').filter(isOne).length;
}

function received(result: ReceivedFds | number): ReceivedFds {
  if (typeof result === 'number') throw new Error(`recvmsg: ${result}`);
  return result;
}

/** The numbers of both ends' descriptors. */
function numbersOf(pair: { client: net.Socket; accepted: net.Socket }): [number, number] {
  return [descriptorOf(pair.client, 'Pipe')!, descriptorOf(pair.accepted, 'Pipe')!];
}

describe('sendFds() and receiveFds()', () => {
  expectNoLeaks();

  it('pass descriptors of the same files, which close on exec', async () => {
    await using pair = await unixPair();
    const [from, to] = numbersOf(pair);
    const files = [memfd('first'), memfd('second')];
    const numbers = files.map((file) => file.fd);
    expect(native().sendFds(from, Buffer.from('two'), numbers)).toBe(3);
    const buffer = Buffer.alloc(10);
    const { bytes, fds, truncated } = received(native().receiveFds(to, buffer));
    expect(buffer.subarray(0, bytes).toString()).toBe('two');
    expect(truncated).toBe(false);
    const links = fds.map((each) => readlinkSync(`/proc/self/fd/${each.fd}`));
    expect(links).toEqual(['/memfd:first (deleted)', '/memfd:second (deleted)']);
    for (const each of fds) expect(closesOnExec(each.fd)).toBe(true);
    for (const each of [...fds, ...files]) each.close();
  });

  it('pass as many descriptors as the kernel lets, which close on another thread', async () => {
    await using pair = await unixPair();
    const [from, to] = numbersOf(pair);
    const file = memfd('many');
    for (const count of [1, 252, 253]) {
      native().sendFds(from, Buffer.from('x'), new Array<number>(count).fill(file.fd));
      const { fds, truncated } = received(native().receiveFds(to, Buffer.alloc(1)));
      expect({ count: fds.length, truncated }).toEqual({ count, truncated: false });
      expect(descriptorsOf('many')).toBe(1 + count);
      await closeStrangers(fds);
      expect(fds.map((fd) => fd.fd)).toEqual(fds.map(() => -1));
      expect(descriptorsOf('many')).toBe(1);
    }
    file.close();
  });

  it('close what nobody received with their socket', async () => {
    {
      await using pair = await unixPair();
      const [from] = numbersOf(pair);
      const file = memfd('unread');
      native().sendFds(from, Buffer.from('x'), [file.fd]);
      file.close();
    }
    expect(descriptorsOf('unread')).toBe(0);
  });

  it('never wait, and never raise SIGPIPE', async () => {
    await using pair = await unixPair();
    const [from, to] = numbersOf(pair);
    expect(native().receiveFds(to, Buffer.alloc(1))).toBe(EAGAIN);
    const piece = Buffer.alloc(64 * 1024);
    let sent = 0;
    while (sent >= 0) sent = native().sendFds(from, piece, []);
    expect(sent).toBe(EAGAIN);
    await close(pair.accepted);
    expect(native().sendFds(from, piece, [])).toBe(EPIPE);
  });

  it('tell what is no socket, no descriptor, or no argument', () => {
    expect(native().sendFds(-1, Buffer.from('x'), [])).toBe(EBADF);
    expect(native().receiveFds(-1, Buffer.alloc(1))).toBe(EBADF);
    const file = memfd('no socket');
    expect(native().receiveFds(file.fd, Buffer.alloc(1))).toBe(ENOTSOCK);
    expect(native().peerCredentials(file.fd)).toBe(ENOTSOCK);
    file.close();
    const untyped = native() as unknown as Record<string, (...args: unknown[]) => unknown>;
    for (const wrong of [[0], [0, 'x', []], [0, Buffer.alloc(1), 7], [0, Buffer.alloc(1)]]) {
      expect(thrownBy(() => untyped.sendFds!(...wrong))).toBeInstanceOf(TypeError);
    }
    expect(thrownBy(() => untyped.receiveFds!(0, 'x'))).toBeInstanceOf(TypeError);
    const tooMany = new Array<number>(254).fill(0);
    expect(thrownBy(() => native().sendFds(0, Buffer.alloc(1), tooMany))).toBeInstanceOf(TypeError);
  });

  it('refuse a descriptor that is not open, and send nothing', async () => {
    await using pair = await unixPair();
    const [from, to] = numbersOf(pair);
    const number = openSync('/dev/null', 'r');
    closeSync(number);
    expect(native().sendFds(from, Buffer.from('x'), [number])).toBe(EBADF);
    expect(native().receiveFds(to, Buffer.alloc(1))).toBe(EAGAIN);
  });
});

it('peerCredentials() tells who connected', async () => {
  await using pair = await unixPair();
  const [, accepted] = numbersOf(pair);
  expect(native().peerCredentials(accepted)).toEqual({
    pid: process.pid,
    uid: process.getuid!(),
    gid: process.getgid!(),
  });
});

describe('the handle of a net.Socket', () => {
  it('is told by its kind', async () => {
    await using pair = await unixPair();
    expect(descriptorOf(pair.client, 'Pipe')).toBeGreaterThanOrEqual(0);
    expect(descriptorOf(pair.client, 'TCP')).toBeUndefined();
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const tcp = await connectPlain(server.port);
    expect(descriptorOf(tcp, 'TCP')).toBeGreaterThanOrEqual(0);
    expect(descriptorOf(tcp, 'Pipe')).toBeUndefined();
    await close(tcp);
    expect(descriptorOf(tcp, 'TCP')).toBeUndefined();
    await close(await accepted);
  });

  it('is not read by Node any more once reading has stopped', async () => {
    await using pair = await unixPair({ pauseOnConnect: false });
    const [from, to] = numbersOf(pair);
    expect(stopReading(pair.accepted, 'Pipe')).toBeUndefined();
    writeSync(from, 'for recvmsg');
    // Node would read it in a turn of the event loop.
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    const buffer = Buffer.alloc(100);
    const { bytes } = received(native().receiveFds(to, buffer));
    expect(buffer.subarray(0, bytes).toString()).toBe('for recvmsg');
  });

  it('can be read as a stream afterwards, where Node had not begun', async () => {
    await using pair = await unixPair();
    const [from] = numbersOf(pair);
    expect(stopReading(pair.accepted, 'Pipe')).toBeUndefined();
    const data = new Promise((resolve) => pair.accepted.once('data', resolve));
    pair.accepted.resume();
    readOn(pair.accepted, 'Pipe');
    writeSync(from, 'for Node');
    expect(String(await data)).toBe('for Node');
  });

  it('gives back what Node had read before', async () => {
    await using pair = await unixPair({ pauseOnConnect: false });
    const [from] = numbersOf(pair);
    const readable = new Promise((resolve) => pair.accepted.once('readable', resolve));
    writeSync(from, 'early');
    await readable;
    expect(stopReading(pair.accepted, 'Pipe')?.toString()).toBe('early');
  });
});

function closesOnExec(fd: number): boolean {
  const flags = /^flags:\s*(\d+)$/m.exec(readFdInfo(fd))![1]!;
  const O_CLOEXEC = 0o2000000;
  return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
}

function readFdInfo(fd: number): string {
  return readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
}
