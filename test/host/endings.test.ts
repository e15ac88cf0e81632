/** How commands end that are told to, or whose output nobody takes. */
import { existsSync } from 'node:fs';
import net from 'node:net';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

import { describe, expect, it, onTestFinished } from 'vitest';

import { Cli, ON_FULL_DISK, ON_TERMINAL, type CliOptions, runCli } from '../support/cli.js';
import { Folder } from '../support/unix.js';

const LISTENING = /listening on 127\.0\.0\.1:(\d+)/;
const ENDED_BY_PIPE = { status: null, signal: 'SIGPIPE', stderr: '' };
const FULL =
  'devmem-tcp: cannot write to standard output: ENOSPC: no space left on device, write\n';

function cli(args: readonly string[], options?: CliOptions): Cli {
  const running = new Cli(args, options);
  onTestFinished(() => running[Symbol.dispose]());
  return running;
}

const endless = (...options: string[]): string[] => [
  ...['recv', '--listen', '127.0.0.1:0', '--connections', '0', ...options],
];

/** Commands that print something at once, and are done. */
const PRINTING: [string[]][] = [
  [['doctor']],
  [['doctor', '--json']],
  [['nic', 'restore']],
  [['recv', '--help']],
  [['--version']],
];

/** A connection to whoever listens, with bytes on their way. */
async function connectTo(port: string): Promise<net.Socket> {
  const socket = net.connect(Number(port), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.on('error', () => {}).on('connect', () => socket.write('some bytes'));
  return socket;
}

const closed = (socket: net.Socket): Promise<void> =>
  new Promise((resolve) => socket.resume().once('close', () => resolve()));

describe('whose reader goes away', () => {
  it('recv closes its connections and ends, without a word', async () => {
    const recv = cli(endless('--interval', '0.1'));
    const peer = await connectTo(await recv.said(LISTENING));
    await recv.printed(/B\/s\n/);
    recv.hangUp();
    await closed(peer);
    const { stderr, ...outcome } = await recv.outcome;
    expect(outcome).toMatchObject({ status: null, signal: 'SIGPIPE' });
    expect(stderr).toMatch(/^listening on .*\n$/);
  });

  it('send does too', async () => {
    const send = cli(['send', '--listen', '127.0.0.1:0', '--interval', '0.1']);
    const peer = await connectTo(await send.said(LISTENING));
    peer.resume();
    await send.printed(/B\/s\n/);
    send.hangUp();
    const { stderr, ...outcome } = await send.outcome;
    expect(outcome).toMatchObject({ status: null, signal: 'SIGPIPE' });
    expect(stderr).toMatch(/^listening on .*\n$/);
  });

  it('the broker takes its socket away', async () => {
    using folder = new Folder();
    const broker = cli(['broker', '--socket', folder.file('broker'), '--allow', 'lo:0']);
    await broker.printed(/listening on/);
    broker.hangUp();
    // A client that it has something to say of.
    net
      .connect(folder.file('broker'))
      .on('error', () => {})
      .end('nonsense');
    expect(await broker.outcome).toMatchObject(ENDED_BY_PIPE);
    expect(folder.names()).toEqual([]);
  });

  it.for(PRINTING)('%j ends without a word', async ([args]) => {
    const running = cli(args);
    running.hangUp();
    expect(await running.outcome).toMatchObject(ENDED_BY_PIPE);
  });
});

describe('on a full disk', () => {
  it.for(PRINTING)('%j fails, and says so in one line', async ([args]) => {
    const { status, stderr } = await runCli(args, { prefix: ON_FULL_DISK });
    expect({ status, stderr }).toEqual({ status: 1, stderr: FULL });
  });

  it('recv closes its connections, and fails', async () => {
    const recv = cli(endless('--interval', '0.1'), { prefix: ON_FULL_DISK });
    const peer = await connectTo(await recv.said(LISTENING));
    await closed(peer);
    const { status, stderr } = await recv.outcome;
    expect(status).toBe(1);
    expect(stderr.split('\n').slice(1).join('\n')).toBe(FULL);
  });

  it('the broker takes its socket away, and fails', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    const { status, stderr } = await runCli(['broker', '--socket', socket, '--allow', 'lo:0'], {
      prefix: ON_FULL_DISK,
    });
    expect({ status, stderr }).toEqual({ status: 1, stderr: FULL });
    expect(folder.names()).toEqual([]);
  });
});

describe('a signal', () => {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

  it.for(signals)('%s ends recv, with totals', async (signal) => {
    const recv = cli(endless('--json'));
    const peer = await connectTo(await recv.said(LISTENING));
    recv.kill(signal);
    await closed(peer);
    const { status, stdout, stderr } = await recv.outcome;
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ended: 'interrupted' });
    expect(stderr).toMatch(/^listening on .*\n$/);
  });

  it.for(signals)('%s ends send, with totals, as one that was not done', async (signal) => {
    const send = cli(['send', '--listen', '127.0.0.1:0', '--connections', '2', '--json']);
    await connectTo(await send.said(LISTENING));
    send.kill(signal);
    const { status, stdout } = await send.outcome;
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ ended: 'interrupted', perConnection: [] });
  });

  it.for(signals)('%s ends the broker, which takes its socket away', async (signal) => {
    using folder = new Folder();
    const broker = cli(['broker', '--socket', folder.file('broker'), '--allow', 'lo:0']);
    await broker.printed(/listening on/);
    broker.kill(signal);
    const { status, stdout } = await broker.outcome;
    expect(status).toBe(0);
    expect(stdout).toContain(`broker: ${signal}: unbinding everything\n`);
    expect(folder.names()).toEqual([]);
  });

  it('that comes twice, as of npx and the terminal, counts once', async () => {
    const program = fileURLToPath(new URL('children/interrupted.mjs', import.meta.url));
    using child = new Cli([], { prefix: [process.execPath, program] });
    await child.printed(/ready/);
    child.kill('SIGINT');
    await child.printed(/stopping/);
    child.kill('SIGINT');
    child.kill('SIGUSR2');
    expect(await child.outcome).toMatchObject({ status: 0, stdout: 'ready\nstopping\ndone\n' });
  });
});

describe('on a terminal', () => {
  const CTRL_C = '\x03';

  it('Ctrl-C and the totals have lines of their own', async () => {
    const recv = cli(endless(), { prefix: ON_TERMINAL });
    await recv.printed(/listening on [^\n]*\n/);
    recv.process.stdin.write(CTRL_C);
    const { status, stdout } = await recv.outcome;
    expect(status).toBe(0);
    expect(stdout.replaceAll('\r', '')).toMatch(/copying\n\^C\n {2}received /);
  });

  it('so do Ctrl-C and what the broker says', async () => {
    using folder = new Folder();
    const args = ['broker', '--socket', folder.file('broker'), '--allow', 'lo:0'];
    const broker = cli(args, { prefix: ON_TERMINAL });
    await broker.printed(/listening on [^\n]*\n/);
    broker.process.stdin.write(CTRL_C);
    const { stdout } = await broker.outcome;
    expect(stdout.replaceAll('\r', '')).toMatch(/\n\^C\nbroker: SIGINT: unbinding everything\n$/);
  });

  it('that is closed, the broker takes its socket away', async () => {
    using folder = new Folder();
    const socket = folder.file('broker');
    const broker = cli(['broker', '--socket', socket, '--allow', 'lo:0'], { prefix: ON_TERMINAL });
    await broker.printed(/listening on [^\n]*\n/);
    expect(existsSync(socket)).toBe(true);
    broker.process.stdin.end();
    expect((await broker.outcome).status).toBe(128 + constants.signals.SIGHUP);
    expect(folder.names()).toEqual([]);
  });

  it('that is closed, recv closes its connections', async () => {
    const recv = cli(endless(), { prefix: ON_TERMINAL });
    const peer = await connectTo(await recv.printed(LISTENING));
    recv.process.stdin.end();
    await closed(peer);
    expect((await recv.outcome).status).toBe(128 + constants.signals.SIGHUP);
  });
});
