/** `devmem-tcp top`, of processes that receive here. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { columnsOf } from '../../dist/cli/top/table.js';
import type { TopView } from '../../dist/cli/top/view.js';
import { Cli, type CliOptions, ON_TERMINAL, runCli } from '../support/cli.js';
import { itWhere } from '../support/conditions.js';
import { connectPlain } from '../support/peers.js';
import { hasPython, NO_PYTHON } from '../support/python.js';
import { Folder } from '../support/unix.js';

const DIAGNOSED = fileURLToPath(new URL('children/diagnosed.mjs', import.meta.url));
const QUICK = ['--interval', '0.2'];
const CTRL_C = '\x03';
const CTRL_Z = '\x1a';
const ENTER = '\x1b[?1049h\x1b[?25l';
const HOME = '\x1b[H';
const LEAVE = '\x1b[?25h\x1b[?1049l';

const literal = (text: string): string => text.replaceAll(/[[?]/g, String.raw`\$&`);

/** One text after the other, whatever is between. */
const inOrder = (...texts: string[]): RegExp => new RegExp(texts.map(literal).join('[^]*'));

let folder: Folder;
let running: Cli[] = [];

beforeEach(() => {
  folder = new Folder();
});

afterEach(() => {
  for (const each of running) each[Symbol.dispose]();
  running = [];
  folder[Symbol.dispose]();
});

function start(args: readonly string[], options?: CliOptions): Cli {
  const cli = new Cli(args, options);
  running.push(cli);
  return cli;
}

/** A process that receives and tells of itself; a peer of it that sends without end. */
async function startReceiving(name: string) {
  const path = folder.file(name);
  const process = start([path], { script: DIAGNOSED });
  const peer = await connectPlain(Number(await process.printed(/port (\d+)/)));
  const piece = Buffer.alloc(10_000);
  const send = (): void => {
    while (!peer.destroyed && peer.write(piece));
  };
  peer.on('drain', send).on('error', () => {});
  send();
  return { path, process, peer };
}

async function json(...args: string[]): Promise<TopView> {
  const { status, stdout, stderr } = await runCli(['top', '--json', ...QUICK, ...args]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout) as TopView;
}

describe('once', () => {
  it('a process is told of, with its rates', async () => {
    const { path, process, peer } = await startReceiving('one');
    const { processes, silent } = await json('--process', path);
    expect(silent).toEqual([]);
    expect(processes).toHaveLength(1);
    const [told] = processes;
    expect(told).toMatchObject({ path, pid: process.process.pid, connectionCount: 1 });
    expect(told!.program).toContain('diagnosed.mjs');
    expect(told!.bindings[0]).toMatchObject({ transport: 'copy', heldLimit: 4 * 2 ** 20 });
    expect(told!.connections[0]).toMatchObject({ remote: `127.0.0.1:${peer.localPort}` });
    expect(told!.connections[0]!.bytesPerSecond).toBeGreaterThan(0);
    expect(told!.bytesPerSecond).toBeGreaterThan(0);
    peer.destroy();
  });

  it('all processes of a folder are, but for those that are dead, and other files', async () => {
    const dead = await startReceiving('dead');
    dead.process.kill('SIGKILL');
    await dead.process.outcome;
    const [one, two] = [await startReceiving('one'), await startReceiving('two')];
    writeFileSync(folder.file('file'), 'x');
    const { processes, silent } = await json('--process', folder.path);
    expect(silent).toEqual([]);
    expect(processes.map(({ path }) => path)).toEqual([one.path, two.path]);
    for (const { peer } of [dead, one, two]) peer.destroy();
  });

  it('a folder of many sockets is read without a warning', async () => {
    const servers = Array.from({ length: 15 }, (_, i) =>
      net.createServer((socket) => void socket.end('hello')).listen(folder.file(`many-${i}`)),
    );
    const { stdout, stderr } = await runCli(['top', '--json', ...QUICK, '--process', folder.path]);
    for (const server of servers) server.close();
    expect(stderr).toBe('');
    expect((JSON.parse(stdout) as TopView).silent).toHaveLength(15);
  });

  it('a process that cannot be asked is told of with the reason', async () => {
    const mute = net.createServer((socket) => void socket.resume()).listen(folder.file('mute'));
    const other = net.createServer((socket) => void socket.end('hello')).listen(folder.file('b'));
    const places = ['none', 'mute', 'b'].flatMap((name) => ['--process', folder.file(name)]);
    const { status, stdout } = await runCli(['top', '--json', ...QUICK, ...places]);
    mute.close();
    other.close();
    const { silent, processes } = JSON.parse(stdout) as TopView;
    expect(status).toBe(1);
    expect(processes).toEqual([]);
    expect(silent.map(({ problem }) => problem)).toEqual([
      expect.stringContaining('ENOENT') as string,
      'it did not answer within 2 s',
      'what it answers is no snapshot: is that the socket of serveDiagnostics()?',
    ]);
  });

  it('it fails where no process that was asked for answers, and not where one does', async () => {
    const missing = ['--process', folder.file('missing')];
    const table = await runCli(['top', ...QUICK, ...missing]);
    expect(table).toMatchObject({ status: 1, stderr: '' });
    expect(table.stdout).toContain('ENOENT');
    const empty = await runCli(['top', '--json', ...QUICK, '--process', folder.path]);
    expect(empty).toMatchObject({ status: 1, stderr: '' });
    const { path, peer } = await startReceiving('one');
    const { processes, silent } = await json(...missing, '--process', path);
    expect([processes.length, silent.length]).toEqual([1, 1]);
    peer.destroy();
  });

  it('the table is printed where there is no terminal', async () => {
    const { path, peer } = await startReceiving('one');
    const { status, stdout } = await runCli(['top', ...QUICK, '--process', path]);
    expect(status).toBe(0);
    expect(stdout).toContain(`127.0.0.1:${peer.localPort}`);
    expect(stdout).not.toContain('\x1b');
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    peer.destroy();
  });
});

describe('live', () => {
  const itOnTerminal = itWhere(hasPython, NO_PYTHON);
  /** With a size, which it has as its first line where its terminal is. */
  const sized = (columns: number, rows: number): CliOptions => ({
    prefix: [...ON_TERMINAL, 'sh', '-c', `tty; stty cols ${columns} rows ${rows}; exec "$@"`, 'sh'],
  });
  /** What is on the screen after the last drawing. */
  const frameOf = (shown: string): string[] =>
    stripVTControlCharacters(
      shown.slice(shown.lastIndexOf(HOME) + HOME.length, shown.lastIndexOf(LEAVE)),
    )
      .trimEnd()
      .split('\r\n');

  for (const [name, key] of [
    ['q', 'q'],
    ['Ctrl-C', CTRL_C],
  ] as const) {
    itOnTerminal(`${name} ends it, and the terminal is as it was`, async () => {
      const before = folder.file('before');
      const around = 'stty -g >"$0"; "$@"; status=$?; stty -g >"$0.after"; exit $status';
      const prefix = [...ON_TERMINAL, 'sh', '-c', around, before];
      const top = start(['top', ...QUICK], { prefix });
      await top.printed(/No process tells/);
      top.process.stdin.write(key);
      const { status, stdout } = await top.outcome;
      expect(status).toBe(0);
      expect(stdout.startsWith(ENTER)).toBe(true);
      expect(stdout.endsWith(LEAVE)).toBe(true);
      expect(stdout.split(ENTER)).toHaveLength(2);
      expect(readFileSync(`${before}.after`, 'utf8')).toBe(readFileSync(before, 'utf8'));
    });
  }

  for (const [name, suspend] of [
    ['Ctrl-Z', (top: Cli) => void top.process.stdin.write(CTRL_Z)],
    ['SIGTSTP', (_: Cli, pid: number) => void process.kill(pid, 'SIGTSTP')],
  ] as const) {
    itOnTerminal(`${name} stops it, and the terminal is as it was meanwhile`, async () => {
      const before = folder.file('before');
      const shell =
        'stty -g >"$0"; set -m; "$@"; stty -g >"$0.stopped"; echo stopped; fg; status=$?; stty -g >"$0.after"; exit $status';
      const pidFirst = ['sh', '-c', 'echo pid $$; exec "$@"', 'sh'];
      const prefix = [...ON_TERMINAL, 'bash', '-c', shell, before, ...pidFirst];
      const top = start(['top', ...QUICK], { prefix });
      const pid = Number(await top.printed(/pid (\d+)/));
      await top.printed(/No process tells/);
      suspend(top, pid);
      await top.printed(/stopped[^]*No process tells/);
      top.process.stdin.write('q');
      const { status, stdout } = await top.outcome;
      expect(status).toBe(0);
      const [first = '', second = ''] = stdout.split('stopped\r\n');
      expect(first.slice(first.indexOf(ENTER))).toContain(LEAVE);
      expect(first.lastIndexOf(ENTER)).toBeLessThan(first.lastIndexOf(LEAVE));
      expect(second).toContain(ENTER);
      expect(second.lastIndexOf(ENTER)).toBeLessThan(second.lastIndexOf(LEAVE));
      for (const state of ['stopped', 'after']) {
        expect(readFileSync(`${before}.${state}`, 'utf8')).toBe(readFileSync(before, 'utf8'));
      }
    });
  }

  itOnTerminal('Ctrl-Z does nothing where no shell could continue it', async () => {
    const top = start(['top', ...QUICK], { prefix: ON_TERMINAL });
    await top.printed(/No process tells/);
    top.process.stdin.write(CTRL_Z);
    await top.printed(inOrder('No process tells', LEAVE, ENTER, 'No process tells'));
    top.process.stdin.write('q');
    expect((await top.outcome).status).toBe(0);
  });

  itOnTerminal('SIGTERM ends it likewise', async () => {
    const prefix = [...ON_TERMINAL, 'sh', '-c', 'echo pid $$; exec "$@"', 'sh'];
    const top = start(['top', ...QUICK], { prefix });
    const pid = Number(await top.printed(/pid (\d+)/));
    await top.printed(/No process tells/);
    process.kill(pid, 'SIGTERM');
    const { status, stdout } = await top.outcome;
    expect(status).toBe(0);
    expect(stdout.endsWith(LEAVE)).toBe(true);
  });

  itOnTerminal(
    'shows what changes, within the terminal, of whatever size that is by then',
    async () => {
      const { path, peer, process } = await startReceiving('one');
      const top = start(['top', ...QUICK, '--process', path], sized(100, 30));
      const terminal = await top.printed(/^(\/dev\/\S+)/);
      await top.printed(/ [KMG]?B\/s/);
      await top.printed(/127\.0\.0\.1:\d+ /);
      execFileSync('stty', ['-F', terminal, 'cols', '40', 'rows', '12']);
      // Of a terminal so narrow this column is not.
      await top.printed(
        new RegExp(`LOCAL[^]*REMOTE {2,}[A-Z]+ {2,}(?!.*LOCAL)[^]*${literal(HOME)}`),
      );
      process.kill('SIGKILL');
      await top.printed(inOrder('ECONNREFUSED', HOME));
      top.process.stdin.write('q');
      const { status, stdout } = await top.outcome;
      expect(status).toBe(0);
      const frame = frameOf(stdout);
      expect(frame.length).toBeLessThanOrEqual(12);
      for (const line of frame) expect(columnsOf(line), line).toBeLessThanOrEqual(40);
      peer.destroy();
    },
  );
});

it.for([
  ['5'],
  ['--interval', '0'],
  ['--interval', 'x'],
  ['--interval', ''],
  ['--process='],
  ['--proces', 'x'],
])('%o makes no sense, and is told so', async (args) => {
  const { status, stderr } = await runCli(['top', ...args]);
  expect(status).toBe(64);
  expect(stderr).toContain("Try 'devmem-tcp top --help'");
});
