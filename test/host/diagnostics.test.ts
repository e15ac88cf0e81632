/** A process that tells of itself: serveDiagnostics(). */
import { chmodSync, lstatSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { threadId, Worker } from 'node:worker_threads';

import {
  createServer,
  type DiagnosticsOptions,
  type DiagnosticsSnapshot,
  serveDiagnostics,
} from 'devmem-tcp';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import { Cli } from '../support/cli.js';
import { itWhere } from '../support/conditions.js';
import { close, closing, connectPlain, LOOPBACK, openPair } from '../support/peers.js';
import { rejectionOf } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';
import { connectUnix, Folder } from '../support/unix.js';

const DIAGNOSED = fileURLToPath(new URL('children/diagnosed.mjs', import.meta.url));

let folder: Folder;
let path: string;

beforeEach(() => {
  folder = new Folder();
  chmodSync(folder.path, 0o755);
  path = folder.file('diagnostics');
});

afterEach(() => {
  folder[Symbol.dispose]();
});

/** Tells of this thread until the test's end. */
async function serve(options: Partial<DiagnosticsOptions> = {}): Promise<void> {
  const server = await serveDiagnostics({ path, ...options });
  onTestFinished(() => server.close());
}

async function read(place = path): Promise<string> {
  const socket = net.connect(place);
  const pieces: string[] = [];
  for await (const piece of socket.setEncoding('utf8')) pieces.push(String(piece));
  return pieces.join('');
}

/** Fresh ones: what was told less than a tenth of a second ago is told again. */
async function snapshot(
  isThatOf: (snapshot: DiagnosticsSnapshot) => boolean = () => true,
): Promise<DiagnosticsSnapshot> {
  let told: DiagnosticsSnapshot | undefined;
  await expect
    .poll(async () => {
      told = JSON.parse(await read()) as DiagnosticsSnapshot;
      return isThatOf(told);
    })
    .toBe(true);
  return told!;
}

describeOverTransports('a snapshot', (transport) => {
  it('has bindings and connections, with what they count', async () => {
    await using bound = await bind(transport, { size: 2 ** 20 });
    await serve();
    await using pair = await openPair(bound.binding);
    pair.peer.write(Buffer.alloc(10_000));
    const batches = pair.socket.batches({ preventClose: true });
    const { value: batch } = await batches.next();
    const told = await snapshot(({ connections }) => connections.length === 1);
    expect(told).toMatchObject({ version: 1, pid: process.pid, connectionCount: 1 });
    const binding = told.bindings.find(({ id }) => id === bound.binding.id);
    expect(binding).toEqual({
      id: bound.binding.id,
      transport,
      interface: null,
      queues: [],
      memory: { type: 'host', size: 2 ** 20 },
      heldBytes: bound.binding.heldBytes,
      heldLimit: bound.binding.heldLimit,
      closed: false,
      fallback: null,
    });
    expect(told.connections[0]).toMatchObject({
      transport,
      local: `127.0.0.1:${pair.socket.localPort}`,
      remote: `127.0.0.1:${pair.socket.remotePort}`,
      bindings: [bound.binding.id],
      stalled: false,
      stats: pair.socket.stats,
    });
    batch!.release();
  });

  it('counts what connections had that are gone', async () => {
    await using bound = await bind(transport);
    await serve();
    const before = await snapshot();
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      for await (const batch of socket.batches()) batch.release();
    });
    const { port } = await server.listen({ host: LOOPBACK });
    for (let i = 0; i < 3; i++) {
      const peer = await connectPlain(port);
      peer.resume().end(Buffer.alloc(1000));
      await closing(peer);
    }
    const bytes = ({ totals }: DiagnosticsSnapshot): number =>
      totals.deviceBytes + totals.linearBytes + totals.copiedBytes;
    await snapshot((told) => told.connectionCount === 0 && bytes(told) - bytes(before) === 3000);
  });
});

describe('a snapshot', () => {
  it('tells of a stall while it lasts', async () => {
    await using bound = await bind('copy', { size: 2 ** 20, heldLimit: 8192 });
    await serve();
    await using pair = await openPair(bound.binding);
    pair.peer.write(Buffer.alloc(100_000));
    const batches = pair.socket.batches({ preventClose: true });
    const held = [];
    while (bound.binding.heldBytes < 8192) held.push((await batches.next()).value!);
    const waiting = batches.next();
    const isStalled = ({ connections }: DiagnosticsSnapshot): boolean =>
      connections[0]?.stalled === true;
    expect((await snapshot(isStalled)).connections[0]?.stats.stalls).toBeGreaterThan(0);
    for (const batch of held) batch.release();
    (await waiting).value?.release();
    for (let bytes = 0; bytes < 50_000;) {
      const { value: batch } = await batches.next();
      bytes += batch!.byteLength;
      batch!.release();
    }
    await snapshot((told) => !isStalled(told));
  });

  it('of very many connections has 500 of them, and counts all', async () => {
    await using bound = await bind('copy');
    await serve();
    await using server = createServer({ binding: bound.binding, closeTimeout: 0 });
    const { port } = await server.listen({ host: LOOPBACK });
    const peers = [];
    for (let i = 0; i < 510; i++) peers.push(await connectPlain(port));
    const { connections } = await snapshot(({ connectionCount }) => connectionCount === 510);
    expect(connections).toHaveLength(500);
    expect(new Set(connections.map(({ id }) => id)).size).toBe(500);
    await Promise.all(peers.map(close));
  });

  it('is of a thread: a worker has a socket of its own', async () => {
    const program = `
      const { workerData, parentPort } = require('node:worker_threads');
      import('devmem-tcp').then(async ({ serveDiagnostics }) => {
        await serveDiagnostics({ path: workerData });
        parentPort.postMessage('ready');
        parentPort.once('message', () => process.exit());
      });`;
    await serve();
    const other = folder.file('worker');
    const worker = new Worker(program, { eval: true, workerData: other });
    await once(worker, 'message');
    expect(JSON.parse(await read(other))).toMatchObject({ threadId: worker.threadId });
    expect(await snapshot()).toMatchObject({ threadId });
    const exit = once(worker, 'exit');
    worker.postMessage('end');
    await exit;
    expect(folder.names()).toEqual(['diagnostics']);
  });
});

describe('the socket', () => {
  it("is its user's alone, unless it is told otherwise", async () => {
    await using first = await serveDiagnostics({ path });
    expect(statSync(first.path).mode & 0o777).toBe(0o600);
    await serve({ path: folder.file('open'), mode: 0o666 });
    expect(statSync(folder.file('open')).mode & 0o777).toBe(0o666);
  });

  it('is taken away by close(), and by the end of the process, however it ends by itself', async () => {
    const server = await serveDiagnostics({ path });
    await Promise.all([server.close(), server.close()]);
    expect(folder.names()).toEqual([]);
    for (const order of ['end', 'throw']) {
      using child = new Cli([path], { script: DIAGNOSED });
      await child.printed(/port/);
      expect(folder.names()).toEqual(['diagnostics']);
      child.process.stdin.write(order);
      await child.outcome;
      expect(folder.names()).toEqual([]);
    }
  });

  it('keeps no process alive', async () => {
    using child = new Cli([path, 'nothing'], { script: DIAGNOSED });
    expect(await child.outcome).toMatchObject({ status: 0, stderr: '' });
    expect(folder.names()).toEqual([]);
  });

  it('of a process that was killed is replaced, and that of a living one is not', async () => {
    using child = new Cli([path], { script: DIAGNOSED });
    await child.printed(/port/);
    expect(await rejectionOf(serveDiagnostics({ path }))).toMatchObject({ code: 'EADDRINUSE' });
    child.kill('SIGKILL');
    await child.outcome;
    expect(lstatSync(path).isSocket()).toBe(true);
    await serve();
    expect((await snapshot()).pid).toBe(process.pid);
  });

  it('takes the place of nothing else', async () => {
    writeFileSync(path, 'precious');
    expect(await rejectionOf(serveDiagnostics({ path }))).toMatchObject({ code: 'EEXIST' });
  });

  it('is in a folder that is there, or the folder is named', async () => {
    const missing = await rejectionOf(serveDiagnostics({ path: folder.file('missing/socket') }));
    expect(missing).toMatchObject({ code: 'ENOENT', syscall: 'open' });
    expect(missing.message).toContain(`the folder ${folder.file('missing')} does not exist`);
    writeFileSync(path, 'precious');
    const none = await rejectionOf(serveDiagnostics({ path: `${path}/socket` }));
    expect(none).toMatchObject({ code: 'ENOTDIR' });
    expect(none.message).toContain(`the folder ${path} is none`);
  });

  for (const odd of ['', '/', 'a\0b', '\0abstract', '/missing\0/socket']) {
    it(`is at no path like ${JSON.stringify(odd)}`, async () => {
      const error = await rejectionOf(serveDiagnostics({ path: odd }));
      expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain('"options.path" must be the path of a file');
    });
  }

  const asRoot = itWhere(process.getuid?.() === 0, 'needs root: run the tests as root');

  asRoot('serves the users that it is to serve', async () => {
    const program = `
      const socket = require('node:net').connect(process.argv[1]);
      socket.pipe(process.stdout); socket.on('error', (error) => console.log(error.code));`;
    const asNobody = async (): Promise<string> => {
      const prefix = [
        'setpriv',
        '--reuid=65534',
        '--clear-groups',
        process.execPath,
        '-e',
        program,
      ];
      return (await new Cli([], { prefix: [...prefix, path] }).outcome).stdout;
    };
    await using own = await serveDiagnostics({ path });
    expect(await asNobody()).toBe('EACCES\n');
    await own.close();
    await using some = await serveDiagnostics({ path, mode: 0o666, allowUids: [0] });
    expect(JSON.parse(await asNobody())).toEqual({ error: 'does not serve user 65534' });
    expect((await snapshot()).pid).toBe(process.pid);
    await some.close();
    await serve({ path, mode: 0o666 });
    expect(JSON.parse(await asNobody())).toMatchObject({ pid: process.pid });
  });
});

describe('whoever connects', () => {
  it('and does not read holds up nobody, and is let go', async () => {
    await using bound = await bind('copy');
    await serve();
    await using pair = await openPair(bound.binding);
    const idle = [];
    for (let i = 0; i < 40; i++) idle.push(await connectUnix(path));
    pair.peer.end('payload');
    let bytes = 0;
    for await (const batch of pair.socket.batches()) {
      bytes += batch.byteLength;
      batch.release();
    }
    expect(bytes).toBe(7);
    expect((await snapshot()).pid).toBe(process.pid);
    for (const each of idle) await close(each);
  });

  it('is let go when it is closed', async () => {
    const server = await serveDiagnostics({ path });
    const idle = await connectUnix(path);
    const ended = closing(idle.resume());
    await server.close();
    await ended;
  });
});

it.for([
  [undefined, 'options'],
  [{}, 'options.path'],
  [{ path: 5 }, 'options.path'],
  [{ path: 'x'.repeat(200) }, 'options.path'],
  [{ path: '/tmp/x', mode: 0o1000 }, 'options.mode'],
  [{ path: '/tmp/x', group: -1 }, 'options.group'],
  [{ path: '/tmp/x', allowUids: 5 }, 'options.allowUids'],
  [{ path: '/tmp/x', allowUids: ['root'] }, 'options.allowUids[0]'],
] as const)('%o is refused, by name', async ([options, name]) => {
  const error = await rejectionOf(serveDiagnostics(options as never));
  expect(error.message).toContain(`"${name}"`);
});
