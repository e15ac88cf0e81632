/** `devmem-tcp recv --into`: streams made contiguous in memory and in files, by copying. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import type { ReceiveReport } from '../../dist/cli/transfer/receive-report.js';
import { Cli, type CliOptions, type Outcome, runCli } from '../support/cli.js';
import { itWhere } from '../support/conditions.js';
import { pattern } from '../support/stream.js';
import { CudaDouble } from './cuda/double.js';

const MiB = 2 ** 20;
const asRoot = itWhere(process.getuid?.() === 0, 'needs root: run the tests as root');
const LISTENING = /listening on 127\.0\.0\.1:(\d+)/;

/** A running receiver on a port of its own. */
async function receiver(
  args: readonly string[],
  options?: CliOptions,
): Promise<{ recv: Cli; port: number }> {
  const recv = new Cli(['recv', '--listen', '127.0.0.1:0', '--json', ...args], options);
  onTestFinished(() => recv[Symbol.dispose]());
  return { recv, port: Number(await recv.said(LISTENING)) };
}

const send = (port: number, ...options: string[]): Promise<Outcome> =>
  runCli(['send', '--connect', `127.0.0.1:${port}`, '--json', ...options]);

async function report(recv: Cli): Promise<ReceiveReport & { status: number | null }> {
  const { status, stdout } = await recv.outcome;
  return { status, ...(JSON.parse(stdout) as ReceiveReport) };
}

/** The first bytes of the stream that `--verify=random:1` expects. */
function patternBytes(size: number): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < size; at += MiB) {
    pieces.push(pattern.slice(at, Math.min(MiB, size - at)));
  }
  return Buffer.concat(pieces);
}

async function connected(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

describe('recv --into host', () => {
  it('gathers a stream longer than its memory, and finds every byte there', async () => {
    const { recv, port } = await receiver(['--into', 'host', '--verify']);
    expect((await send(port, '--bytes', '21M')).status).toBe(0);
    expect(await report(recv)).toMatchObject({
      status: 0,
      bytes: 21 * MiB,
      copiedBytes: 21 * MiB,
      gathered: { into: 'host', bytes: 21 * MiB, by: 'cpu' },
      verified: true,
      perConnection: [{ bytes: 21 * MiB, verified: true }],
    });
  });

  it('gathers each of several connections by itself', async () => {
    const { recv, port } = await receiver(['--into', 'host', '--verify', '--connections', '3']);
    await send(port, '--bytes', '5M', '--connections', '3');
    const received = await report(recv);
    expect(received).toMatchObject({ status: 0, bytes: 15 * MiB, verified: true });
    expect(received.gathered).toEqual({ into: 'host', bytes: 15 * MiB, by: 'cpu' });
  });

  it('finds one wrong byte, and says which', async () => {
    const { recv, port } = await receiver(['--into', 'host', '--verify=random:1']);
    const bytes = patternBytes(9 * MiB);
    bytes[8 * MiB + 17]! ^= 1;
    (await connected(port)).end(bytes);
    const received = await report(recv);
    expect(received).toMatchObject({ status: 1, bytes: 9 * MiB, verified: false });
    expect(received.wrongByte?.position).toBe(8 * MiB + 17);
  });

  it('ends after the bytes that were asked for, although no more come', async () => {
    const { recv, port } = await receiver(['--into', 'host', '--bytes', '3001']);
    const peers = [await connected(port)];
    peers[0]!.write(patternBytes(3001));
    expect(await report(recv)).toMatchObject({ status: 0, bytes: 3001, ended: 'bytes' });
  });

  it('counts what comes slowly, of several connections', async () => {
    const args = ['--into', 'host', '--bytes', '3K', '--connections', '3'];
    const { recv, port } = await receiver(args);
    for (let i = 0; i < 3; i++) (await connected(port)).write(patternBytes(1024));
    expect(await report(recv)).toMatchObject({ status: 0, bytes: 3072, ended: 'bytes' });
  });

  it('counts what came before a reset', async () => {
    const args = ['recv', '--listen', '127.0.0.1:0', '--into', 'host', '--interval', '0.05'];
    const recv = new Cli(args);
    onTestFinished(() => recv[Symbol.dispose]());
    const peer = await connected(Number(await recv.said(LISTENING)));
    peer.write(patternBytes(5120));
    await recv.printed(/ 5\.00 KiB /);
    peer.resetAndDestroy();
    const { status, stdout } = await recv.outcome;
    expect(status).toBe(1);
    expect(stdout).toMatch(/received +5\.00 KiB in/);
    expect(stdout).toMatch(/gathered +5\.00 KiB into host memory/);
    expect(stdout).toMatch(/failed .*ECONNRESET/);
  });

  it('tells people, too', async () => {
    const recv = new Cli(['recv', '--listen', '127.0.0.1:0', '--into', 'host']);
    onTestFinished(() => recv[Symbol.dispose]());
    await send(Number(await recv.said(LISTENING)), '--bytes', '1M');
    const { stdout } = await recv.outcome;
    expect(stdout).toMatch(/gathered +1\.00 MiB into host memory by the CPU\n/);
  });

  it('ends by SIGPIPE where nobody reads its output any more', async () => {
    const args = ['recv', '--listen', '127.0.0.1:0', '--into', 'host', '--interval', '0.05'];
    const recv = new Cli(args);
    onTestFinished(() => recv[Symbol.dispose]());
    const port = Number(await recv.said(LISTENING));
    using sender = new Cli(['send', '--connect', `127.0.0.1:${port}`]);
    await recv.printed(/B\/s\n/);
    recv.hangUp();
    const { signal, stderr } = await recv.outcome;
    expect(signal).toBe('SIGPIPE');
    expect(stderr).toMatch(/^listening on .*\n$/);
    await sender.outcome;
  });
});

describe('recv --into cuda', () => {
  let double: CudaDouble;

  beforeAll(() => {
    double = new CudaDouble();
  });

  afterAll(() => {
    double[Symbol.dispose]();
  });

  it.for(['cuda', 'cuda:1'])(
    'gathers in memory of the GPU, and finds every byte: %s',
    async (into) => {
      const env = double.environment;
      const args = ['--into', into, '--verify', '--connections', '2'];
      const { recv, port } = await receiver(args, { env });
      expect((await send(port, '--bytes', '9M', '--connections', '2')).status).toBe(0);
      const device = into === 'cuda' ? 0 : 1;
      expect(await report(recv)).toMatchObject({
        status: 0,
        gathered: { into: `cuda:${device}`, bytes: 18 * MiB, by: 'gpu' },
        verified: true,
      });
      const { calls } = double;
      expect(calls).toContain(`cuDevicePrimaryCtxRetain(${device})`);
      const count = (start: string): number =>
        calls.filter((call) => call.startsWith(start)).length;
      expect(count('cuMemAlloc')).toBe(count('cuMemFree, dma-buf closed'));
      expect(count('cuStreamCreate')).toBe(count('cuStreamDestroy, idle'));
    },
  );

  it('fails before it listens where there is no such GPU', async () => {
    const env = double.environment;
    const { status, stderr } = await runCli(['recv', '--into', 'cuda:7'], { env });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^devmem-tcp: .*\n$/);
    expect(stderr).toContain('There is no such device');
  });

  it('fails the connection whose bytes CUDA does not copy', async () => {
    const env = { ...double.environment, DOUBLE_FAIL: 'cuModuleLoadDataEx=2' };
    const { recv, port } = await receiver(['--into', 'cuda', '--verify'], { env });
    await send(port, '--bytes', '1M');
    const received = await report(recv);
    expect(received).toMatchObject({ status: 1, verified: false, gathered: { bytes: 0 } });
    expect(received.perConnection[0]?.error).toContain('CUDA_ERROR_OUT_OF_MEMORY');
  });
});

describe('recv --into FILE', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-into-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    file = join(folder, 'file');
  });

  const found = (): string[] => readdirSync(folder).sort();

  it('writes the stream, and gives the file its name at the end', async () => {
    const { recv, port } = await receiver(['--into', file, '--verify=random:1']);
    expect(found()).toEqual(['file.part']);
    (await connected(port)).end(patternBytes(9 * MiB + 3));
    expect(await report(recv)).toMatchObject({
      status: 0,
      gathered: { into: file, bytes: 9 * MiB + 3, by: 'cpu', whole: true },
      verified: true,
    });
    expect(found()).toEqual(['file']);
    expect(readFileSync(file).equals(patternBytes(9 * MiB + 3))).toBe(true);
  });

  it('replaces what was there, also by a symbolic link', async () => {
    writeFileSync(file, 'before', { mode: 0o600 });
    const link = join(folder, 'link');
    symlinkSync('file', link);
    const { recv, port } = await receiver(['--into', link]);
    expect(readFileSync(link, 'utf8')).toBe('before');
    (await connected(port)).end('after');
    expect(await report(recv)).toMatchObject({ status: 0 });
    expect(readFileSync(file, 'utf8')).toBe('after');
    expect(found()).toEqual(['file', 'link']);
  });

  it('makes what a symbolic link leads to, by others and where nothing is yet', async () => {
    mkdirSync(join(folder, 'there'));
    symlinkSync('there', join(folder, 'folder'));
    symlinkSync('../target', join(folder, 'there/second'));
    symlinkSync('folder/second', join(folder, 'first'));
    const { recv, port } = await receiver(['--into', join(folder, 'first')]);
    expect(existsSync(join(folder, 'target.part'))).toBe(true);
    (await connected(port)).end('all');
    expect(await report(recv)).toMatchObject({
      status: 0,
      gathered: { into: join(folder, 'target') },
    });
    expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('all');
    expect(readlinkSync(join(folder, 'first'))).toBe('folder/second');
    expect(readlinkSync(join(folder, 'there/second'))).toBe('../target');
    expect(found()).toEqual(['first', 'folder', 'target', 'there']);
  });

  it.for([
    ['into no folder', 'no/file', /open ENOENT: .*no\/file\n$/],
    ['to itself', 'link', /open ELOOP: .*link\. A symbolic link leads back to itself.*\n$/],
    ['to a folder that is not there', 'no/', /open EISDIR: .*no\/\n$/],
  ] as const)('fails before it listens by a symbolic link %s', async ([, target, words]) => {
    symlinkSync(target, join(folder, 'link'));
    const { status, stderr } = await runCli(['recv', '--into', join(folder, 'link')]);
    expect(status).toBe(1);
    expect(stderr).toMatch(words);
    expect(found()).toEqual(['link']);
  });

  it.for(['new', 'replaced'])('names a %s file by its absolute path', async (kind) => {
    if (kind === 'replaced') writeFileSync(file, 'before');
    const { recv, port } = await receiver(['--into', relative(process.cwd(), file)]);
    (await connected(port)).end('all');
    expect(await report(recv)).toMatchObject({ status: 0, gathered: { into: file } });
  });

  it('reports, and fails, where the file cannot get its name', async () => {
    const { recv, port } = await receiver(['--into', file]);
    mkdirSync(file);
    (await connected(port)).end('all');
    expect(await report(recv)).toMatchObject({
      status: 1,
      gathered: { into: `${file}.part`, bytes: 3, whole: false },
    });
    expect((await recv.outcome).stderr).toMatch(/\ndevmem-tcp: rename EISDIR: .*file\n$/);
  });

  it('writes an empty stream as an empty file', async () => {
    const { recv, port } = await receiver(['--into', file]);
    (await connected(port)).end();
    expect(await report(recv)).toMatchObject({ status: 0, gathered: { bytes: 0, whole: true } });
    expect(readFileSync(file)).toHaveLength(0);
  });

  it('has exactly the bytes that were asked for', async () => {
    const { recv, port } = await receiver(['--into', file, '--bytes', '5M']);
    await send(port, '--seed', '1');
    expect(await report(recv)).toMatchObject({ status: 0, ended: 'bytes' });
    expect(readFileSync(file).equals(patternBytes(5 * MiB))).toBe(true);
  });

  it('keeps what came before a reset beside the file that was there', async () => {
    writeFileSync(file, 'before');
    const { recv, port } = await receiver(['--into', file]);
    const peer = await connected(port);
    peer.write(patternBytes(100_000));
    await expect.poll(() => readFileSync(`${file}.part`).length).toBe(100_000);
    peer.resetAndDestroy();
    expect(await report(recv)).toMatchObject({
      status: 1,
      gathered: { into: `${file}.part`, bytes: 100_000, whole: false },
    });
    expect(readFileSync(file, 'utf8')).toBe('before');
    expect(readFileSync(`${file}.part`).equals(patternBytes(100_000))).toBe(true);
  });

  it('is not whole where a byte is wrong', async () => {
    const { recv, port } = await receiver(['--into', file, '--verify']);
    (await connected(port)).end('wrong');
    expect(await report(recv)).toMatchObject({ status: 1, gathered: { whole: false } });
    expect(found()).toEqual(['file.part']);
  });

  it.for(['SIGINT', 'SIGTERM'] as const)('is not whole after %s', async (signal) => {
    const { recv, port } = await receiver(['--into', file]);
    (await connected(port)).write('begun');
    await expect.poll(() => readFileSync(`${file}.part`, 'utf8')).toBe('begun');
    recv.kill(signal);
    expect(await report(recv)).toMatchObject({
      status: 1,
      ended: 'interrupted',
      gathered: { into: `${file}.part`, bytes: 5, whole: false },
    });
    expect(found()).toEqual(['file.part']);
  });

  it('leaves nothing where nothing came', async () => {
    const { recv } = await receiver(['--into', file, '--seconds', '0.1']);
    expect(await report(recv)).toMatchObject({ status: 1, gathered: { bytes: 0, whole: false } });
    expect(found()).toEqual([]);
  });

  it('has a kill leave no file that looks whole', async () => {
    const { recv, port } = await receiver(['--into', file]);
    (await connected(port)).write('begun');
    await expect.poll(() => readFileSync(`${file}.part`, 'utf8')).toBe('begun');
    recv.kill('SIGKILL');
    await recv.outcome;
    expect(found()).toEqual(['file.part']);
    const { status, stderr } = await runCli(['recv', '--into', file]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^devmem-tcp: open EEXIST: .*file\.part\. .* remove it.*\n$/);
    expect(readFileSync(`${file}.part`, 'utf8')).toBe('begun');
  });

  it.for([
    ['no/such/file', 'ENOENT'],
    ['folder', 'EISDIR'],
    ['file/below', 'ENOTDIR'],
  ] as const)('fails before it listens where it cannot be written: %s', async ([name, code]) => {
    writeFileSync(file, '');
    mkdirSync(join(folder, 'folder'));
    const { status, stdout, stderr } = await runCli(['recv', '--into', join(folder, name)]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^devmem-tcp: \\w+ ${code}: .*${name}.*\\n$`));
    expect(found()).toEqual(['file', 'folder']);
  });

  asRoot('fails before it listens without permission for what it would replace', async () => {
    execFileSync('chmod', ['777', folder]);
    writeFileSync(file, '', { mode: 0o644 });
    const prefix = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const { status, stderr } = await runCli(['recv', '--into', file], { prefix });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^devmem-tcp: open EACCES: .*\n$/);
    expect(found()).toEqual(['file']);
  });

  it('fails in words on a full disk', async () => {
    const { recv, port } = await receiver(['--into', '/dev/full']);
    await send(port, '--bytes', '1M');
    const received = await report(recv);
    expect(received).toMatchObject({ status: 1, gathered: { into: '/dev/full', whole: false } });
    expect(received.perConnection[0]?.error).toMatch(
      /ENOSPC: no space left on device, \/dev\/full/,
    );
    expect(existsSync('/dev/full.part')).toBe(false);
  });

  asRoot('keeps what had room on a disk that became full', async () => {
    const script =
      'mount -t tmpfs -o size=6M none "$0" && "$@"; status=$?; stat -c "%n %s" "$0"/* >&2; exit $status';
    const prefix = ['unshare', '--mount', 'sh', '-c', script, folder];
    const { recv, port } = await receiver(['--into', file], { prefix });
    await send(port, '--bytes', '20M');
    const { status, bytes, copiedBytes, gathered, perConnection } = await report(recv);
    expect({ status, gathered }).toMatchObject({ status: 1, gathered: { whole: false } });
    expect(perConnection).toMatchObject([{ bytes, copiedBytes }]);
    expect(perConnection[0]?.error).toContain('ENOSPC');
    expect((await recv.outcome).stderr).toMatch(
      new RegExp(`\\n${file}\\.part ${gathered?.bytes}\\n$`),
    );
    expect(bytes).toBeGreaterThan(gathered!.bytes);
    expect(copiedBytes).toBeGreaterThanOrEqual(bytes);
  });

  it('goes into a pipe as it comes', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const recv = new Cli(['recv', '--listen', '127.0.0.1:0', '--json', '--into', pipe], {
      prefix: ['sh', '-c', 'cat "$0" > "$0.copy" & "$@"; status=$?; wait; exit $status', pipe],
    });
    onTestFinished(() => recv[Symbol.dispose]());
    (await connected(Number(await recv.said(LISTENING)))).end(patternBytes(MiB));
    expect(await report(recv)).toMatchObject({ status: 0, gathered: { into: pipe, whole: true } });
    expect(readFileSync(`${pipe}.copy`).equals(patternBytes(MiB))).toBe(true);
    expect(found()).toEqual(['pipe', 'pipe.copy']);
  });
});

describe('bad usage', () => {
  it.for([
    ['cuda:x', "not 'x'"],
    ['-', 'standard output has the report'],
    ['', "not ''"],
  ])('--into %j exits with 64 and says: %s', async ([into, message]) => {
    const { status, stderr } = await runCli(['recv', '--into', into!]);
    expect(status).toBe(64);
    expect(stderr).toContain(message);
  });

  it.for(['0', '2'])('a file with --connections %s exits with 64', async (connections) => {
    const args = ['recv', '--into', 'file', '--connections', connections];
    const { status, stderr } = await runCli(args);
    expect(status).toBe(64);
    expect(stderr).toContain('one connection only');
  });
});
