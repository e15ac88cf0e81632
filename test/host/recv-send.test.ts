/** `devmem-tcp recv` and `send` over loopback, by copying. */
import { rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { describe, expect, it, onTestFinished } from 'vitest';

import { Meter } from '../../dist/cli/transfer/meter.js';
import { receiveAll } from '../../dist/cli/transfer/receive.js';
import type { ReceiveReport } from '../../dist/cli/transfer/receive-report.js';
import type { SentConnection } from '../../dist/cli/transfer/send.js';
import { Stopper } from '../../dist/cli/transfer/stopping.js';
import { Cli, type Outcome, runCli } from '../support/cli.js';
import { itWhere } from '../support/conditions.js';
import { pattern } from '../support/stream.js';

const MiB = 2 ** 20;
const asRoot = itWhere(process.getuid?.() === 0, 'needs root: run the tests as root');
const LISTENING = /listening on 127\.0\.0\.1:(\d+)/;

interface SendReport {
  bytes: number;
  ended?: string;
  perConnection: SentConnection[];
}

/** A running receiver on a port of its own. */
async function receiver(...options: string[]): Promise<{ recv: Cli; port: string }> {
  const recv = new Cli(['recv', '--listen', '127.0.0.1:0', ...options]);
  onTestFinished(() => recv[Symbol.dispose]());
  return { recv, port: await recv.said(LISTENING) };
}

const send = (port: string, ...options: string[]): Promise<Outcome> =>
  runCli(['send', '--connect', `127.0.0.1:${port}`, '--json', ...options]);

async function report(recv: Cli): Promise<ReceiveReport & { status: number | null }> {
  const { status, stdout } = await recv.outcome;
  return { status, ...(JSON.parse(stdout) as ReceiveReport) };
}

describe('recv and send', () => {
  it('carry a verified stream, and say how', async () => {
    const { recv, port } = await receiver('--verify', '--json');
    const sent = await send(port, '--bytes', '20M');
    expect(sent.status).toBe(0);
    expect(JSON.parse(sent.stdout)).toMatchObject({ bytes: 20 * MiB });
    const received = await report(recv);
    expect(received).toMatchObject({
      status: 0,
      transport: 'copy',
      queues: [],
      bytes: 20 * MiB,
      copiedBytes: 20 * MiB,
      deviceBytes: 0,
      linearBytes: 0,
      verified: true,
    });
    expect(received.frags).toBeGreaterThan(0);
    expect(received.perConnection).toMatchObject([{ bytes: 20 * MiB, verified: true }]);
    expect(received).not.toHaveProperty('ended');
  });

  it('tell people too', async () => {
    const { recv, port } = await receiver('--verify=sequence:7');
    await send(port, '--bytes', '1M', '--pattern', 'sequence:7');
    const { status, stdout } = await recv.outcome;
    expect(status).toBe(0);
    expect(stdout).toMatch(/received +1\.00 MiB in .* s,/);
    expect(stdout).toMatch(/verified +every byte/);
  });

  it('carry several connections at once, and end after as many', async () => {
    const { recv, port } = await receiver('--verify', '--connections', '3', '--json');
    const sent = await send(port, '--bytes', '5M', '--connections', '3');
    expect(sent.status).toBe(0);
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, bytes: 15 * MiB, verified: true });
    expect(received.perConnection.map(({ bytes }) => bytes)).toEqual([5 * MiB, 5 * MiB, 5 * MiB]);
  });

  it('work the other way round: the sender listens', async () => {
    using sender = new Cli(['send', '--listen', '127.0.0.1:0', '--bytes', '3M']);
    const port = await sender.said(LISTENING);
    const outcome = await runCli(['recv', '--connect', `127.0.0.1:${port}`, '--verify', '--json']);
    expect(outcome.status).toBe(0);
    expect(JSON.parse(outcome.stdout)).toMatchObject({ bytes: 3 * MiB, verified: true });
    expect((await sender.outcome).status).toBe(0);
  });

  it('carry more connections than an emitter takes listeners, without a warning', async () => {
    const { recv, port } = await receiver('--connections', '11', '--json');
    const sent = await send(port, '--bytes', '64K', '--connections', '11');
    expect(sent).toMatchObject({ status: 0, stderr: '' });
    const { stderr } = await recv.outcome;
    expect(stderr).toMatch(/^listening on .*\n$/);
    expect(await report(recv)).toMatchObject({ status: 0, connections: 11, failed: 0 });
  });

  it('tell IPv4 peers as IPv4, also where the socket is one of IPv6', async () => {
    using recv = new Cli(['recv', '--listen', '0', '--json']);
    const port = await recv.said(/listening on \[::\]:(\d+)/);
    await send(port, '--bytes', '64K');
    const [connection] = (await report(recv)).perConnection;
    expect(connection?.remote).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('carry a file', async () => {
    const file = join(tmpdir(), `devmem-tcp-send-${process.pid}`);
    writeFileSync(file, pattern.slice(0, 3 * MiB));
    onTestFinished(() => rmSync(file));
    const { recv, port } = await receiver('--verify=random:1', '--json');
    expect((await send(port, '--file', file)).status).toBe(0);
    expect(await report(recv)).toMatchObject({ bytes: 3 * MiB, verified: true });
  });

  it('carry what comes on stdin', async () => {
    const { recv, port } = await receiver('--verify=random:1', '--json');
    using sender = new Cli(['send', '--connect', `127.0.0.1:${port}`, '--file', '-']);
    sender.process.stdin.end(pattern.slice(0, MiB));
    expect((await sender.outcome).status).toBe(0);
    expect(await report(recv)).toMatchObject({ bytes: MiB, verified: true });
  });
});

describe('recv --verify', () => {
  it('finds one wrong byte, says which, and fails', async () => {
    const { recv, port } = await receiver('--verify=random:1', '--json');
    const bytes = Buffer.from(pattern.slice(0, 3 * MiB));
    bytes[2 * MiB + 17]! ^= 1;
    net.connect(Number(port), '127.0.0.1').end(bytes);
    const received = await report(recv);
    expect(received).toMatchObject({ status: 1, bytes: 3 * MiB, verified: false });
    expect(received.perConnection).toMatchObject([{ firstWrong: 2 * MiB + 17 }]);
  });

  it('fails where the connection does', async () => {
    const { recv, port } = await receiver('--verify', '--json');
    const socket = net.connect(Number(port), '127.0.0.1', () => socket.resetAndDestroy());
    const received = await report(recv);
    expect(received).toMatchObject({ status: 1, verified: false });
    expect(received.perConnection[0]?.error).toContain('ECONNRESET');
  });
});

describe('send', () => {
  /** One that waits for two receivers. */
  async function sender(): Promise<{ sender: Cli; port: number }> {
    const options = ['--connections', '2', '--bytes', '1K', '--json'];
    const sending = new Cli(['send', '--listen', '127.0.0.1:0', ...options]);
    onTestFinished(() => sending[Symbol.dispose]());
    return { sender: sending, port: Number(await sending.said(LISTENING)) };
  }

  async function bytesFrom(socket: net.Socket): Promise<number> {
    let bytes = 0;
    for await (const piece of socket) bytes += (piece as Buffer).length;
    return bytes;
  }

  it('lets another receiver take the place of one that resets while it waits', async () => {
    const { sender: sending, port } = await sender();
    const first = net.connect(port, '127.0.0.1', () => first.resetAndDestroy());
    await sending.said(/left before all had connected: read ECONNRESET\n/);
    const others = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')];
    expect(await Promise.all(others.map(bytesFrom))).toEqual([1024, 1024]);
    expect(await sending.outcome).toMatchObject({ status: 0 });
  });

  it('sends to receivers that have ended their own direction while they waited', async () => {
    const { sender: sending, port } = await sender();
    const options = { port, host: '127.0.0.1', allowHalfOpen: true };
    const first = net.connect(options, () => first.end());
    await once(first, 'finish');
    const second = net.connect(options);
    second.end();
    expect(await Promise.all([first, second].map(bytesFrom))).toEqual([1024, 1024]);
    expect(await sending.outcome).toMatchObject({ status: 0 });
  });
});

describe('a transfer ends', () => {
  it('after the bytes that were asked for', async () => {
    const { recv, port } = await receiver('--bytes', '8M', '--json');
    const sending = send(port);
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, ended: 'bytes' });
    expect(received.bytes).toBeGreaterThanOrEqual(8 * MiB);
    expect((await sending).status).toBe(1);
  });

  it('after the seconds that were asked for, with every interval', async () => {
    const { recv, port } = await receiver('--verify', '--interval', '0.2', '--json');
    const sent = await send(port, '--seconds', '0.5');
    expect(sent.status).toBe(0);
    expect(JSON.parse(sent.stdout)).toMatchObject({ ended: 'seconds' });
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, verified: true });
    const inIntervals = received.intervals.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(inIntervals).toBe(received.bytes);
  });

  it('after the seconds that were asked for, where nobody comes', async () => {
    const { recv } = await receiver('--seconds', '0.2', '--json');
    expect(await report(recv)).toMatchObject({ status: 0, ended: 'seconds', perConnection: [] });
    const { status, stderr } = await runCli([
      'send',
      '--listen',
      '127.0.0.1:0',
      '--seconds',
      '0.2',
    ]);
    expect(status).toBe(1);
    expect(stderr).toContain('devmem-tcp: --seconds passed before all had connected\n');
  });

  it.for(['SIGINT', 'SIGTERM'] as const)('on %s, with totals', async (signal) => {
    const { recv, port } = await receiver('--verify', '--connections', '0', '--json');
    await send(port, '--bytes', '2M');
    using sender = new Cli(['send', '--connect', `127.0.0.1:${port}`, '--interval', '0.1']);
    await sender.printed(/s .*B\/s\n/);
    recv.kill(signal);
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, ended: 'interrupted', verified: true });
    expect(received.perConnection).toHaveLength(2);
    expect(received.bytes).toBeGreaterThan(2 * MiB);
  });

  it('before it listens, if that is when it was told to', async () => {
    await using memory = await DmaBuf.allocate({ type: 'host', size: MiB });
    await using binding = await bindRx({ memory, mode: 'copy' });
    using stopper = new Stopper();
    using meter = new Meter({ total: undefined, interval: undefined, quiet: true });
    const endless = { connections: 0, bytes: undefined, seconds: undefined, pattern: undefined };
    stopper.stop('interrupted');
    const tally = await receiveAll({
      ...endless,
      ...{ binding, meter, stopper },
      listen: { host: '127.0.0.1', port: 0 },
    });
    expect(tally.connections).toBe(0);
  });

  it('on SIGINT of the sender, in good order', async () => {
    const { recv, port } = await receiver('--verify', '--interval', '0.1');
    using sender = new Cli(['send', '--connect', `127.0.0.1:${port}`, '--json']);
    // The receiver's intervals begin with the connection.
    await recv.printed(/B\/s\n/);
    sender.kill('SIGINT');
    const { status, stdout } = await sender.outcome;
    expect(status).toBe(1);
    const sent = JSON.parse(stdout) as SendReport;
    expect(sent.ended).toBe('interrupted');
    const received = await recv.outcome;
    expect(received.status).toBe(0);
    expect(received.stdout).toMatch(/verified +every byte/);
  });
});

describe('where devmem cannot be had', () => {
  it('auto copies, and says why', async () => {
    const { recv, port } = await receiver(
      ...['--interface', 'lo', '--queues', '0', '--no-prepare', '--verify', '--json'],
    );
    await send(port, '--bytes', '1M');
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, transport: 'copy', verified: true });
    expect(received.fallback).toContain('lo is a virtual interface');
  });

  it.each(['--no-prepare', '--prepare'])(
    'auto does not copy for who mistypes the interface (%s)',
    async (preparing) => {
      const { status, stderr } = await runCli([
        ...['recv', '--interface', 'nosuch0', '--queues', '1', preparing],
      ]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^devmem-tcp: .*no interface 'nosuch0'.*\n$/);
    },
  );

  it('auto copies where the interface cannot be set up, too', async () => {
    const recv = new Cli([
      ...['recv', '--listen', '127.0.0.1:45201', '--verify', '--json'],
      ...['--interface', 'lo', '--queues', '0'],
    ]);
    onTestFinished(() => recv[Symbol.dispose]());
    await send(await recv.said(LISTENING), '--bytes', '1M');
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, transport: 'copy', verified: true });
    expect(received.fallback).toContain('lo');
  });

  it('devmem fails, in one line that says why', async () => {
    const { status, stderr } = await runCli([
      ...['recv', '--mode', 'devmem', '--memory', 'host'],
      ...['--interface', 'lo', '--queues', '0', '--no-prepare'],
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^devmem-tcp: .*lo is a virtual interface, without a device.*\n$/);
  });
});

it('send fails in one line where nobody listens', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const { status, stderr } = await send(String(port), '--bytes', '1M');
  expect(status).toBe(1);
  expect(stderr).toBe(`devmem-tcp: connect ECONNREFUSED 127.0.0.1:${port}\n`);
});

asRoot('send and recv name each address that refused, where a name has several', async () => {
  const hosts = join(tmpdir(), `devmem-tcp-hosts-${process.pid}`);
  writeFileSync(hosts, '127.0.0.1 two\n::1 two\n');
  onTestFinished(() => rmSync(hosts));
  const script = 'ip link set lo up && mount --bind "$0" /etc/hosts && exec "$@"';
  const prefix = ['unshare', '--net', '--mount', 'sh', '-c', script, hosts];
  for (const command of ['send', 'recv']) {
    const { status, stderr } = await runCli([command, '--connect', 'two:9'], { prefix });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^devmem-tcp: .*connect ECONNREFUSED.*\n$/);
    for (const address of ['127.0.0.1:9', '::1:9']) expect(stderr).toContain(address);
  }
});

describe('bad usage', () => {
  it.for([
    [['send'], 'give --connect'],
    [['send', '--connect', '1', '--listen', '2'], 'one of them'],
    [['send', '--connect', '5201'], 'names no host'],
    [['send', '--connect', 'h', '--bytes', 'lots'], "not 'lots'"],
    [['send', '--connect', 'h', '--pattern', 'zeros'], "not 'zeros'"],
    [['send', '--connect', 'h', '--pattern', 'random', '--seed', '1'], 'one of --pattern'],
    [['send', '--connect', 'h', '--connections', '0'], 'from 1 to'],
    [['send', '--connect', 'h', '--file', '-', '--connections', '2'], 'one connection only'],
    [['recv', '--mode', 'fast'], 'auto, devmem, copy'],
    [['recv', '--mode', 'devmem'], 'needs --interface and --queues'],
    [['recv', '--transport', 'uring'], 'auto, cmsg, queue, zcrx'],
    [['recv', '--transport', 'zcrx'], 'needs --interface and --queues'],
    [
      ['recv', '--transport', 'zcrx', '--interface', 'lo', '--queues', '1,2'],
      '--transport zcrx takes one queue',
    ],
    [
      ['recv', '--transport', 'zcrx', '--interface', 'lo', '--queues', '1', '--broker', '/b'],
      '--transport zcrx and --broker exclude each other',
    ],
    [['recv', '--interface', 'lo'], 'belong together'],
    [['recv', '--interface', 'lo', '--queues', '3-1'], "not '3-1'"],
    [['recv', '--interface', 'a/b', '--queues', '1'], "--interface must be an interface's name"],
    [['doctor', '--interface', 'eth0:1'], 'without a colon'],
    [['nic', 'restore', '--interface', '..'], "not '..'"],
    [['broker', '--socket', '/tmp/b', '--allow', 'a b'], "what --allow 'a b' names must be"],
    [['recv', '--memory', 'disk'], 'udmabuf'],
    [['recv', '--memory', 'cuda:x'], "not 'x'"],
    [['recv', '--memory', 'host:3M'], '--memory must name a size of huge pages'],
    [['recv', '--memory', 'host:2M', '--size', '64K'], '--size must be a multiple of 2M'],
    [['recv', '--memory', 'dma-heap:a/b'], 'dma-heap:NAME'],
    [['recv', '--size', '5000'], 'multiple of 4096'],
    [['recv', '--size', '65537G'], '--size must be a size such as 64M or 1G, up to 65536G'],
    [['recv', '--listen', '1', '--connect', 'h'], 'one of them'],
    [['recv', '--verify=zeros'], "not 'zeros'"],
    [['recv', '--seconds', '0'], "not '0'"],
    [['recv', '--prepare'], '--prepare needs --interface'],
    [['recv', '--broker', '/run/broker'], '--broker needs --interface'],
    [['recv', '--listen', '0', '--interface', 'lo', '--queues', '0'], 'needs a port'],
    [['recv', '5201'], "unexpected argument '5201'"],
  ] as const)('%j exits with 64 and says: %s', async ([args, message]) => {
    const { status, stdout, stderr } = await runCli(args);
    expect(status).toBe(64);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).toContain(`Try 'devmem-tcp ${args[0]} --help'`);
  });
});
