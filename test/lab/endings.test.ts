/** Commands that are told to end, or whose output nobody takes, leave the interface as it was. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Cli, type CliOptions, MAIN, ON_FULL_DISK, ON_TERMINAL, runCli } from '../support/cli.js';
import { ADDRESS, INTERFACE, rxQueues, setHeaderSplit } from './support/guest.js';
import { journals, makeBare, snapshot } from './support/nic.js';

const PORT = 5201;
const QUEUE = rxQueues().at(-1)!;
const WHICH = ['--interface', INTERFACE, '--queues', String(QUEUE)];

let before: string;

beforeEach(async () => {
  await makeBare();
  before = await snapshot();
});

afterEach(async () => {
  await runCli(['nic', 'restore']);
  await setHeaderSplit(true);
});

/** A receiver that has set the interface up and bound its queue. */
async function receiver(options: readonly string[], cli?: CliOptions): Promise<Cli> {
  const where = ['--listen', `${ADDRESS.IPv4}:${PORT}`, '--connections', '0'];
  const recv = new Cli(['recv', ...WHICH, ...where, '--mode', 'devmem', ...options], cli);
  await Promise.race([recv.said(/listening/), recv.printed(/listening/)]);
  expect(await snapshot()).not.toEqual(before);
  return recv;
}

async function expectAsBefore(): Promise<void> {
  expect(await snapshot()).toEqual(before);
  expect(journals()).toEqual([]);
}

/** Sends from the peer, until the receiver ends it. */
function startSending(): void {
  const args = ['send', '--connect', `${ADDRESS.IPv4}:${PORT}`];
  spawn('peer', [process.execPath, MAIN, ...args], { stdio: 'ignore' });
}

describe('recv puts everything back', () => {
  it.for(['SIGHUP', 'SIGQUIT', 'SIGTERM'] as const)('on %s', async (signal) => {
    using recv = await receiver([]);
    recv.kill(signal);
    const { status, stderr } = await recv.outcome;
    expect(status).toBe(0);
    expect(stderr).toMatch(/^listening on .*\n$/);
    await expectAsBefore();
  });

  it('where its reader goes away', async () => {
    using recv = await receiver(['--interval', '0.2']);
    startSending();
    await recv.printed(/B\/s\n/);
    recv.hangUp();
    const { signal, stderr } = await recv.outcome;
    expect(signal).toBe('SIGPIPE');
    expect(stderr).toMatch(/^listening on .*\n$/);
    await expectAsBefore();
  });

  it('where the disk is full', async () => {
    using recv = await receiver(['--interval', '0.2'], { prefix: ON_FULL_DISK });
    startSending();
    const { status, stderr } = await recv.outcome;
    expect(status).toBe(1);
    expect(stderr).toMatch(/^listening on .*\ndevmem-tcp: cannot write .*ENOSPC.*\n$/);
    await expectAsBefore();
  });

  it('where its terminal is closed', async () => {
    using recv = await receiver([], { prefix: ON_TERMINAL });
    recv.process.stdin.end();
    await recv.outcome;
    await expectAsBefore();
  });
});

describe('nic apply', () => {
  const apply = ['nic', 'apply', ...WHICH, '--listen', String(PORT)];
  const preload = fileURLToPath(new URL('support/interrupt-at.mjs', import.meta.url));
  const interruptedAt = (setting: string): CliOptions => ({
    env: { NODE_OPTIONS: `--import ${preload}`, DEVMEM_INTERRUPT_AT: setting },
  });

  it.for(['header-split', 'flow-rule'])('undoes all of it, interrupted at %s', async (setting) => {
    const { signal, stderr } = await runCli(apply, interruptedAt(setting));
    expect({ signal, stderr }).toEqual({ signal: 'SIGINT', stderr: '' });
    await expectAsBefore();
  });

  it('undoes its own part alone', async () => {
    const other = ['--interface', INTERFACE, '--queues', String(QUEUE - 1)];
    expect((await runCli(['nic', 'apply', ...other, '--listen', '5202'])).status).toBe(0);
    const applied = await snapshot();
    expect((await runCli(apply, interruptedAt('flow-rule'))).signal).toBe('SIGINT');
    expect(await snapshot()).toEqual(applied);
  });

  it('undoes all of it where it cannot say what it did', async () => {
    const { status, stderr } = await runCli(apply, { prefix: ON_FULL_DISK });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^devmem-tcp: cannot write .*ENOSPC.*\n$/);
    await expectAsBefore();
  });
});
