/** Every program of examples/, by itself and against peers of the tests' own. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { Cli, type Outcome } from '../support/cli.js';
import { ROOT } from '../support/docs/blocks.js';

const MiB = 2 ** 20;
const FOLDER = path.join(ROOT, 'examples');

let running: Cli | undefined;
let server: net.Server | undefined;

afterEach(() => {
  running?.[Symbol.dispose]();
});

function start(name: string, ...args: string[]): Cli {
  running = new Cli(args, { script: path.join(FOLDER, `${name}.mjs`) });
  return running;
}

/** Starts one that serves; resolves once it does. */
async function serve(name: string, ...args: string[]) {
  const program = start(name, '--port', '0', ...args);
  const port = Number(await program.printed(/port (\d+)/));
  return { program, port };
}

/** Ends it as a service manager does; nothing is to be wrong by then. */
async function expectEnds(program: Cli): Promise<Outcome> {
  program.kill('SIGTERM');
  const outcome = await program.outcome;
  expect(outcome).toMatchObject({ status: 0, stderr: '' });
  return outcome;
}

/** Sends bytes and the end of the stream; what comes back. */
async function exchange(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(bytes);
  return Buffer.concat((await socket.toArray()) as Buffer[]);
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

function framed(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** What shows that a program, started without arguments, has done all that it is to show. */
const PROVE: Readonly<Record<string, RegExp>> = {
  records: /^5 records were answered as they should be$/m,
  workers: /(^port \d+ received 8388608 bytes as they were sent$[^]*){2}/m,
  cluster: /(^process \d+ received 8388608 bytes as they were sent$[^]*){2}/m,
  sink: /^sent: sha256 (?<hash>\w{64})$[^]*^sink: sha256 \k<hash>$/m,
  loader: /^learnt from 32 batches, .* copy\nweights 1.00 2.00 3.00 4.00 5.00 6.00 7.00$/m,
  proxy: /^33554432 bytes came back as they were sent$/m,
  'metrics-prometheus': /^devmem_tcp_received_bytes_total\{path="copied"\} 10485760$/m,
  'metrics-opentelemetry': /path: 'copied' \}[^}]*value: 10485760\n/,
  benchmark: /^batches, over copy\n[\d.]+ GB\/s \([\d.]+ to [\d.]+\)\n[\d.]+ CPU seconds/m,
};

/** Those that another program starts, or that take one in Python. */
const OTHERS = ['sink-consumer', 'serve-tensors'];

const QUICK: Readonly<Record<string, string[]>> = {
  benchmark: ['--megabytes', '16', '--runs', '2'],
};

it('every example is run here, and is in the list of its folder', () => {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith('.mjs'));
  expect(names.map((name) => path.basename(name, '.mjs')).sort()).toEqual(
    [...Object.keys(PROVE), ...OTHERS].sort(),
  );
  const list = readFileSync(path.join(FOLDER, 'README.md'), 'utf8');
  for (const name of names) expect(list).toContain(`(${name})`);
});

describe('an example, started without arguments, shows what it is to show and ends:', () => {
  for (const [name, proof] of Object.entries(PROVE)) {
    it(name, async () => {
      const { status, stdout, stderr } = await start(name, ...(QUICK[name] ?? [])).outcome;
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(proof);
    });
  }
});

describe('the records service', () => {
  it('answers every record, however the network cuts them, until it is told to end', async () => {
    const { program, port } = await serve('records');
    const records = Array.from({ length: 200 }, (_, i) => randomBytes((i * 7919) % 30_011));
    const stream = Buffer.concat(records.map(framed));
    const socket = net.connect({ port, host: '127.0.0.1' });
    for (let at = 0; at < stream.length; at += 4099) socket.write(stream.subarray(at, at + 4099));
    socket.end();
    const answer = Buffer.concat((await socket.toArray()) as Buffer[]);
    expect(answer.equals(Buffer.concat(records.map((each) => framed(sha256(each)))))).toBe(true);
    await expectEnds(program);
  });

  it('serves on where one client talks nonsense, and another one is cut off', async () => {
    const { program, port } = await serve('records');
    expect(await exchange(port, Buffer.alloc(100, 0xff))).toHaveLength(0);
    await program.said(/127.0.0.1: .*limit/);
    expect(await exchange(port, framed(randomBytes(100)).subarray(0, 50))).toHaveLength(0);
    await program.said(/127.0.0.1: The stream ended after 50 of 104 bytes/);
    const record = randomBytes(MiB);
    expect(await exchange(port, framed(record))).toEqual(framed(sha256(record)));
    program.kill('SIGTERM');
    expect(await program.outcome).toMatchObject({ status: 0 });
  });
});

describe('workers', () => {
  it('receive several streams at once, byte for byte', async () => {
    const program = start('workers', '--port', '0', '--workers', '2');
    const last = Number(await program.printed(/worker 2 listens on port (\d+)/));
    const first = Number(await program.printed(/worker 1 listens on port (\d+)/));
    const streams = [first, last, first, last].map((port) => ({ port, bytes: randomBytes(MiB) }));
    const answers = await Promise.all(streams.map(({ port, bytes }) => exchange(port, bytes)));
    expect(answers.map(String)).toEqual(streams.map(({ bytes }) => sha256(bytes).toString('hex')));
    await expectEnds(program);
  });
});

describe('a cluster', () => {
  const served = async (port: number, bytes: Buffer): Promise<number> => {
    const [digest, pid] = String(await exchange(port, bytes)).split(' ');
    expect(digest).toBe(sha256(bytes).toString('hex'));
    return Number(pid);
  };

  it('serves by all of its processes, and replaces one that was killed', async () => {
    const { program, port } = await serve('cluster');
    await program.printed(/(serves port[^]*){2}/);
    const pids = [];
    for (let i = 0; i < 4; i++) pids.push(await served(port, randomBytes(MiB)));
    const [victim, other] = [...new Set(pids)];
    expect(other).toBeGreaterThan(0);
    process.kill(victim!, 'SIGKILL');
    await program.said(new RegExp(`process ${victim} ended: SIGKILL`));
    await program.printed(/(serves port[^]*){3}/);
    const later = [];
    for (let i = 0; i < 4; i++) later.push(await served(port, randomBytes(MiB)));
    expect(later).not.toContain(victim);
    expect(new Set(later).size).toBe(2);
    program.kill('SIGTERM');
    expect(await program.outcome).toMatchObject({ status: 0 });
  });
});

describe('a sink', () => {
  it('in another process sees the bytes in their order', async () => {
    const { program, port } = await serve('sink');
    const bytes = randomBytes(9 * MiB + 1);
    await exchange(port, bytes);
    const { status, stdout, stderr } = await program.outcome;
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`sink: sha256 ${sha256(bytes).toString('hex')}`);
    expect(stdout).toContain(`the sink has used ${bytes.length} bytes`);
  });

  it('tells no checksum of nothing where the program cannot listen', async () => {
    const other = net.createServer().listen(0);
    await once(other, 'listening');
    const { port } = other.address() as net.AddressInfo;
    const { status, stdout, stderr } = await start('sink', '--port', String(port)).outcome;
    other.close();
    expect(status).toBe(1);
    expect(stderr).toContain('EADDRINUSE');
    expect(stdout).toBe('');
  });
});

describe('a loader', () => {
  const batch = 65_536;

  async function learn(bytes: Buffer): Promise<Outcome> {
    const server = net.createServer((socket) => socket.end(bytes)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const outcome = await start('loader', '--connect', `127.0.0.1:${port}`, '--depth', '2').outcome;
    server.close();
    return outcome;
  }

  function samples(batches: number): Buffer {
    const bytes = Buffer.alloc(batches * batch); // numbers that are finite
    bytes.writeUInt32BE(1, 4);
    return bytes;
  }

  it('hands out every batch, byte for byte', async () => {
    const bytes = samples(20);
    const { status, stdout, stderr } = await learn(bytes);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('learnt from 20 batches');
    expect(stdout).toContain(sha256(bytes).toString('hex'));
  });

  for (const rest of [1, 1000, batch - 1]) {
    it(`says that the stream was cut off, ${rest} bytes into a batch, and fails`, async () => {
      const bytes = samples(20);
      const { status, stdout, stderr } = await learn(Buffer.concat([bytes, Buffer.alloc(rest)]));
      expect(stderr).toBe(`the stream was cut off ${rest} bytes into a batch of ${batch}\n`);
      expect(status).toBe(1);
      expect(stdout).toContain('learnt from 20 batches');
      expect(stdout).toContain(sha256(bytes).toString('hex'));
    });
  }
});

describe('a loader that is told to end', () => {
  it('has learnt from what came whole, and says nothing wrong', async () => {
    const socket = new Promise<net.Socket>((resolve) => {
      server = net.createServer(resolve).listen(0, '127.0.0.1');
    });
    await once(server!, 'listening');
    const { port } = server!.address() as net.AddressInfo;
    const program = start('loader', '--connect', `127.0.0.1:${port}`);
    const sender = await socket;
    sender.on('error', () => {}).write(Buffer.alloc(65_536 + 1000));
    // It has taken these once it has acknowledged them.
    await expect.poll(() => sender.writableLength).toBe(0);
    const { stdout } = await expectEnds(program);
    expect(stdout).toMatch(/^learnt from [01] batches/m);
    sender.destroy();
    server!.close();
  });
});

describe('a proxy', () => {
  it('carries both directions, and tells clients where there is no server', async () => {
    const bytes = randomBytes(5 * MiB);
    const answer = randomBytes(7 * MiB);
    const received: Buffer[] = [];
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('data', (piece) => received.push(piece));
      socket.on('end', () => socket.end(answer));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const upstream = `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    const { program, port } = await serve('proxy', '--upstream', upstream);
    expect((await exchange(port, bytes)).equals(answer)).toBe(true);
    expect(Buffer.concat(received).equals(bytes)).toBe(true);
    server.close();
    await once(server, 'close');
    const refused = exchange(port, bytes);
    await expect(refused).rejects.toMatchObject({ code: /ECONNRESET|EPIPE/ });
    await program.said(/ECONNREFUSED/);
    program.kill('SIGTERM');
    expect(await program.outcome).toMatchObject({ status: 0 });
  });
});

describe('metrics', () => {
  it('for Prometheus count the bytes of connections that are open, and of those that are gone', async () => {
    const { program, port } = await serve('metrics-prometheus');
    const url = await program.printed(/metrics at (\S+)/);
    const metric = async (name: string): Promise<number> => {
      const text = await (await fetch(url)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))!
          .split(' ')[1],
      );
    };
    const received = 'devmem_tcp_received_bytes_total{path="copied"}';
    await exchange(port, randomBytes(12_345));
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.write(randomBytes(54_321));
    await expect.poll(() => metric(received)).toBe(12_345 + 54_321);
    await expect.poll(() => metric('devmem_tcp_connections')).toBe(1);
    socket.end();
    await expect.poll(() => metric('devmem_tcp_connections')).toBe(0);
    expect(await metric(received)).toBe(12_345 + 54_321);
    expect((await fetch(new URL('/other', url))).status).toBe(404);
    await expectEnds(program);
  });

  it('of OpenTelemetry are exported last when the server ends', async () => {
    const { program, port } = await serve('metrics-opentelemetry');
    await exchange(port, randomBytes(54_321));
    const { stdout } = await expectEnds(program);
    expect(stdout).toMatch(/path: 'copied' \}[^}]*value: 54321\n/);
  });
});

describe('the benchmark', () => {
  for (const way of ['batches', 'fragments', 'into']) {
    it(`receives ${way}, all that was sent`, async () => {
      const args = ['--way', way, '--json', '--runs', '2', '--megabytes', '8'];
      const { status, stdout, stderr } = await start('benchmark', ...args).outcome;
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const report = JSON.parse(stdout) as { way: string; runs: { bytes: number }[] };
      expect(report).toMatchObject({ transport: 'copy', way });
      expect(report.runs.map(({ bytes }) => bytes)).toEqual([8 * MiB, 8 * MiB]);
    });
  }
});

/** Arguments that make no sense, and what is said of them. */
const PORTS: [string[], string][] = [
  [['--port', 'abc'], "--port takes numbers from 0 to 65535, not 'abc'"],
  [['--port', '70000'], "--port takes numbers from 0 to 65535, not '70000'"],
  [['--port', ''], "--port takes numbers from 0 to 65535, not ''"],
  [['--port'], "Option '--port <value>' argument missing"],
  [['--prot', '5201'], "Unknown option '--prot'"],
];
const INTERFACES: [string[], string][] = [
  [['--interface', 'lo'], "--queues takes numbers from 0 to 65535, not ''"],
  [['--interface', 'lo', '--queues', '1,x'], "--queues takes numbers from 0 to 65535, not 'x'"],
  [['--interface', 'nope0', '--queues', '0'], '--interface: rtnetlink getlink ENODEV'],
];
const TOGETHER = '--interface and --queues go together';
const REFUSED: Readonly<Record<string, [string[], string][]>> = {
  records: [...PORTS, ...INTERFACES],
  sink: [...PORTS, ...INTERFACES],
  'metrics-prometheus': [
    ...[...PORTS, ...INTERFACES],
    [['--metrics-port', 'x'], "--metrics-port takes numbers from 0 to 65535, not 'x'"],
  ],
  'metrics-opentelemetry': [...PORTS, ...INTERFACES],
  proxy: [
    ...[...PORTS, ...INTERFACES],
    [['--upstream', 'host'], "--upstream takes HOST:PORT, not 'host'"],
    [['--upstream', 'host:0'], "--upstream takes numbers from 1 to 65535, not '0'"],
  ],
  loader: [
    ...INTERFACES,
    [['--connect', ':5201'], "--connect takes HOST:PORT, not ':5201'"],
    [['--connect', 'host:99999'], "--connect takes numbers from 1 to 65535, not '99999'"],
    [['--depth', '0'], "--depth takes numbers from 1 to 64, not '0'"],
    [['--memory', 'paper'], '--memory: '],
    [['extra'], "Unexpected argument 'extra'"],
  ],
  benchmark: [
    ...[...PORTS, ...INTERFACES],
    [['--runs', '0'], "--runs takes numbers from 1 to 1000, not '0'"],
    [['--megabytes', '1.5'], "--megabytes takes numbers from 1 to 1048576, not '1.5'"],
    [['--way', 'elsewhere'], '--way takes one of batches, fragments, into'],
  ],
  cluster: [
    ...PORTS,
    [['--processes', '0'], "--processes takes numbers from 1 to 1024, not '0'"],
    [['--interface', 'lo'], TOGETHER],
    [['--queues', '1'], TOGETHER],
    [['--interface', 'lo', '--queues', 'x'], "--queues takes numbers from 0 to 65535, not 'x'"],
    [['--interface', 'nope0', '--queues', '0'], '--interface: rtnetlink getlink ENODEV'],
  ],
  workers: [
    ...PORTS,
    [['--workers', '-1'], "Option '--workers' argument is ambiguous."],
    [['--workers', 'many'], "--workers takes numbers from 1 to 1024, not 'many'"],
    [['--interface', 'lo', '--queues', '1'], '--interface, --queues and --port go together'],
    [['--interface', 'nope0', '--queues', '0', '--port', '5201'], '--interface: '],
  ],
  'serve-tensors': [
    [[], 'usage: serve-tensors.mjs SOCKET'],
    ...[...PORTS, ...INTERFACES].map(([args, words]): [string[], string] => [
      ['/nowhere/socket', ...args],
      words,
    ]),
    [['/nowhere/socket', '--memory', 'paper'], '--memory: '],
    [['/nowhere/socket', 'more'], 'usage: serve-tensors.mjs SOCKET'],
  ],
  'sink-consumer': [[['/nowhere/socket'], 'sink.mjs starts this']],
};

describe('an argument that makes no sense is named in one line, and the program ends:', () => {
  it('of every example', () => {
    expect(Object.keys(REFUSED).sort()).toEqual([...Object.keys(PROVE), ...OTHERS].sort());
  });

  for (const [name, refused] of Object.entries(REFUSED)) {
    it.for(refused)(`${name} %j`, async ([args, words]) => {
      const { status, stdout, stderr } = await start(name, ...args).outcome;
      expect(stderr).toContain(words);
      expect(stderr).toMatch(/^[^\n]+\n$/);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    });
  }
});
