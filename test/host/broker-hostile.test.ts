/** What clients do to a broker by accident or ill will: it goes on serving the others. */
import { chmodSync, readdirSync, readlinkSync } from 'node:fs';
import type net from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { encodeMessage } from '../../dist/ipc/message.js';
import type { UnixSocket } from '../../dist/ipc/unix-socket.js';
import { BrokerProcess } from '../support/broker.js';
import { answerOf, answerToRequest, hungUp, sendRequest } from '../support/broker-requests.js';
import { Child } from '../support/child.js';
import { itWhere } from '../support/conditions.js';
import { memfd } from '../support/memfd.js';
import { close, closing } from '../support/peers.js';
import { randomBytes } from '../support/random.js';
import { connectUnix, Folder } from '../support/unix.js';

const MAX_CLIENTS = 8;
const REQUEST = { version: 1, command: 'bind-rx', interface: 'lo', queues: [1], size: 2 ** 20 };

let folder: Folder;
let broker: BrokerProcess;
let socket: string;

beforeEach(async () => {
  folder = new Folder();
  socket = folder.file('broker');
  const most = String(MAX_CLIENTS);
  const limits = ['--max-clients', most, '--max-clients-per-user', most];
  broker = await BrokerProcess.start(socket, '--allow', 'lo:0', ...limits);
});

afterEach(async () => {
  // Whatever was done to it, it serves, holds nothing, and ends in good order.
  const served = expect.poll(() => answerTo(encodeMessage(REQUEST), 1));
  await served.toMatch(/does not give out rx queue 1 of lo/);
  await expect.poll(() => descriptors(broker.pid, /memfd:devmem-tcp/)).toBe(0);
  expect(await broker.end('SIGTERM')).toEqual([0, null]);
  folder[Symbol.dispose]();
});

const sendTo = (bytes: Uint8Array, fds: number): Promise<UnixSocket> =>
  sendRequest(socket, bytes, fds);
const answerTo = (bytes: Uint8Array, fds = 0): Promise<string | undefined> =>
  answerToRequest(socket, bytes, fds);

function descriptors(pid: number, pattern: RegExp): number {
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(pid, fd));
  return links.filter((link) => pattern.test(link)).length;
}

function linkOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return ''; // closed meanwhile
  }
}

const text = (json: string): Buffer => {
  const body = Buffer.from(json);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(body.length);
  return Buffer.concat([header, body]);
};

describe('a request', () => {
  it.for([
    ['that is no JSON', text('bind, please'), 'is not JSON'],
    ['that is no UTF-8', Buffer.from([0, 0, 0, 4, 0x22, 0xff, 0xfe, 0x22]), 'is not JSON'],
    ['of no bytes', Buffer.alloc(4), 'is not JSON'],
    ['that is a list', text('[1]'), 'not an object'],
    ['that is null', text('null'), 'not an object'],
    ['of no version', encodeMessage({ ...REQUEST, version: undefined }), 'version undefined'],
    ['of another version', encodeMessage({ ...REQUEST, version: 2 }), 'version 2'],
    ['with another command', encodeMessage({ ...REQUEST, command: 'sing' }), 'command "sing"'],
    ['for something unknown', encodeMessage({ ...REQUEST, prepair: {} }), 'asks for "prepair"'],
    ['without an interface', encodeMessage({ ...REQUEST, interface: 1 }), '"interface"'],
    ['with a path', encodeMessage({ ...REQUEST, interface: '../lo' }), '"interface"'],
    ['without queues', encodeMessage({ ...REQUEST, queues: [] }), '"queues"'],
    ['with queues that are none', encodeMessage({ ...REQUEST, queues: [0.5] }), '"queues[0]"'],
    ['with a queue twice', encodeMessage({ ...REQUEST, queues: [0, 0] }), 'distinct'],
    ['with a size that is none', encodeMessage({ ...REQUEST, size: '1' }), '"size"'],
    ['with odd pages', encodeMessage({ ...REQUEST, rxPageSize: 5000 }), 'power of two'],
    ['with a prototype', text('{"__proto__":{"version":1}}'), 'version undefined'],
    ['that nests', text(`{"version":${'['.repeat(20_000)}${']'.repeat(20_000)}}`), 'version'],
  ] as const)('%s is refused with the reason', async ([, bytes, reason]) => {
    expect(await answerTo(bytes, 1)).toContain(reason);
  });

  it('without its descriptor is refused', async () => {
    const bytes = encodeMessage({ ...REQUEST, queues: [0] });
    expect(await answerTo(bytes, 0)).toContain('has no descriptor');
  });

  it.for([2, 253])('with %i descriptors is refused, and none is kept', async (fds) => {
    const bytes = encodeMessage({ ...REQUEST, queues: [0] });
    expect(await answerTo(bytes, fds)).toContain('more than 1 descriptor');
  });

  it('whose descriptors come in the midst of it is refused too', async () => {
    const bytes = encodeMessage({ ...REQUEST, queues: [0] });
    const unix = await sendTo(bytes.subarray(0, 10), 1);
    const file = memfd();
    await unix.write(bytes.subarray(10), [file.fd]);
    file.close();
    expect(await answerOf(unix)).toContain('more than 1 descriptor');
    await hungUp(unix);
  });

  it('with a descriptor that is no dma-buf gets what the kernel says', async () => {
    const bytes = encodeMessage({ ...REQUEST, queues: [0] });
    expect(await answerTo(bytes, 1)).toMatch(/^(netdev bind-rx|netlink) E/);
  });

  it('of more than 64 KiB is refused before it is read', async () => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(64 * 1024 + 1);
    expect(await answerTo(header)).toContain('65536 are the most');
    const whole = encodeMessage({ ...REQUEST, padding: 'x'.repeat(2 ** 20) });
    expect(await answerTo(whole, 1)).toContain('65536 are the most');
  });

  it('that stops in the midst is told so', async () => {
    const unix = await sendTo(encodeMessage(REQUEST).subarray(0, 20), 1);
    unix.socket.end();
    expect(await answerOf(unix)).toContain('ended before it was complete');
    await hungUp(unix);
  });

  it('whose sender is gone before the answer does no harm', async () => {
    for (let i = 0; i < 20; i++) {
      const unix = await sendTo(encodeMessage({ ...REQUEST, queues: [0] }), 1);
      await close(unix.socket);
    }
  });

  it('of random bytes is refused, or its connection closed', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const bytes = randomBytes(seed);
      const unix = await sendTo(bytes, seed % 3);
      unix.socket.end();
      // A length that random bytes announce is not reached.
      await answerOf(unix);
      await hungUp(unix);
    }
  });
});

describe('many clients', () => {
  /** Waits until the broker has taken up so many connections. */
  const connected = (count: number) =>
    expect.poll(() => descriptors(broker.pid, /^socket:/)).toBeGreaterThanOrEqual(count);

  it('that say nothing are no more than the limit, and others are told', async () => {
    const idle = await Promise.all(Array.from({ length: MAX_CLIENTS }, () => connectUnix(socket)));
    await connected(MAX_CLIENTS);
    const told = await answerOf(await sendTo(encodeMessage(REQUEST), 1));
    expect(told).toContain(`has ${MAX_CLIENTS} clients already`);
    await Promise.all(idle.map(close));
    await expect.poll(() => answerTo(encodeMessage(REQUEST), 1)).toContain('does not give out');
  });

  it('of one user are no more than its share, and others of it are told', async () => {
    await using shared = await BrokerProcess.start(folder.file('shared'), '--allow', 'lo:0');
    const idle = await Promise.all(
      Array.from({ length: 32 }, () => connectUnix(folder.file('shared'))),
    );
    const ask = (): Promise<string | undefined> =>
      answerToRequest(folder.file('shared'), encodeMessage(REQUEST), 1);
    await expect.poll(ask).toContain(`has 32 clients of user ${process.getuid!()} already`);
    expect(await ask()).toContain('--max-clients-per-user');
    expect(shared.output).toContain(`refused user ${process.getuid!()}, process ${process.pid}`);
    await Promise.all(idle.map(close));
    await expect.poll(ask).toContain('does not give out');
  });

  itWhere(process.getuid?.() === 0, 'not root: run as root to enable this')(
    'of one user leave room for those of another',
    async () => {
      const place = folder.file('shared');
      const options = ['--allow', 'lo:0', '--mode', '0666', '--max-clients', '4'];
      chmodSync(folder.path, 0o755);
      await using shared = await BrokerProcess.start(place, ...options);
      const idle = await Promise.all(Array.from({ length: 4 }, () => connectUnix(place)));
      await shared.said('has 2 clients of user 0 already', 2);
      const { stdout } = await new Child('ask-broker', [place], 65534).outcome();
      expect(stdout).toContain('does not give out');
      await Promise.all(idle.map(close));
    },
  );

  it('that never end their request are hung up on after a while', async () => {
    const slow = await Promise.all(
      Array.from({ length: 3 }, () => sendTo(encodeMessage(REQUEST).subarray(0, 30), 1)),
    );
    for (const unix of slow) {
      expect(await answerOf(unix)).toContain('was not complete after 5000 ms');
      await hungUp(unix);
    }
  });

  it('at once are all answered', async () => {
    const answers = await Promise.all(
      Array.from({ length: MAX_CLIENTS }, () => answerTo(encodeMessage(REQUEST), 1)),
    );
    expect(answers).toHaveLength(MAX_CLIENTS);
    for (const answer of answers) expect(answer).toContain('does not give out');
  });

  it('that do not read their answer hold up nobody', async () => {
    const deaf: net.Socket[] = [];
    for (let i = 0; i < MAX_CLIENTS - 1; i++) {
      const unix = await sendTo(encodeMessage(REQUEST), 1);
      deaf.push(unix.socket);
    }
    expect(await answerTo(encodeMessage(REQUEST), 1)).toContain('does not give out');
    for (const each of deaf) each.destroy();
    await Promise.all(deaf.map(closing));
  });
});

it('what a client sent cannot forge lines of its log', async () => {
  const forged = 'x"\nbroker: bound eth1 queues 1, binding 7, for user 0\u001b[2J';
  await answerTo(encodeMessage({ ...REQUEST, command: forged }), 1);
  await broker.said('refused');
  expect(broker.output).not.toMatch(/^broker: bound/m);
  expect(broker.output).not.toContain('\u001b');
});
