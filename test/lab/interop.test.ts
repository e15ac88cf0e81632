/**
 * `recv` and `send` beside the kernel's own ncdevmem.
 *
 * It receives only: in Linux 6.12 it cannot send, and where it can, it sends out of
 * device memory, which the software NIC does not do. So what it is to be sent comes
 * from where its comments say, a shell.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import type { Report } from 'devmem-tcp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ReceiveReport } from '../../dist/cli/transfer/receive-report.js';
import { addressText } from '../../dist/cli/values.js';
import { Cli, MAIN, runCli } from '../support/cli.js';
import { ADDRESS, type Family, INTERFACE, rxQueues, setHeaderSplit } from './support/guest.js';
import { NCDEVMEM, Ncdevmem } from './support/ncdevmem.js';
import { makeBare, ruleCount } from './support/nic.js';
import { AUTO } from './support/transport.js';

const MiB = 2 ** 20;
const PORT = 5201;
const OUR_PORT = 5301;
/** What it calls `-v 7`. */
const SEQUENCE = 7;
const PATTERN = `sequence:${SEQUENCE}`;
const ALL_IN_DEVICE = { transport: AUTO, linearBytes: 0, copiedBytes: 0, verified: true };

const THEIR_QUEUE = rxQueues().at(-1)!;
const OUR_QUEUE = THEIR_QUEUE - 1;

if (NCDEVMEM === undefined) {
  console.warn("skipped: no ncdevmem. 'node kernel/lab/ncdevmem.mjs' says what it takes");
}

beforeEach(makeBare);

afterEach(async () => {
  await makeBare();
  await setHeaderSplit(true);
});

/** Runs a program in the peer's namespace; its exit status. */
async function peer(...command: string[]): Promise<number | null> {
  const child = spawn('peer', command, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status;
}

const send = (host: string, port: number, bytes: number) =>
  peer(
    ...[process.execPath, MAIN, 'send', '--connect', addressText(host, port)],
    ...['--bytes', String(bytes), '--pattern', PATTERN],
  );

/** As the comments of ncdevmem say, but for the shell's own way to connect. */
const sendByShell = (host: string, port: number, bytes: number) => {
  const numbers = Array.from({ length: SEQUENCE - 1 }, (_, index) => `\\\\x0${index + 1}`);
  const stream = `yes $(echo -e ${numbers.join('')}) | tr \\\\n \\\\0 | head -c ${bytes}`;
  return peer('bash', '-c', `${stream} > /dev/tcp/${host}/${port}`);
};

function recv(...options: string[]): Cli {
  return new Cli(['recv', '--interface', INTERFACE, '--mode', 'devmem', '--json', ...options]);
}

async function report(receiver: Cli): Promise<ReceiveReport & { status: number | null }> {
  const { status, stdout } = await receiver.outcome;
  return { status, ...(JSON.parse(stdout) as ReceiveReport) };
}

describe.runIf(NCDEVMEM !== undefined)('send', () => {
  it.for<Family>(['IPv4', 'IPv6'])(
    'sends what ncdevmem finds right, byte by byte, in its dma-buf, over %s',
    async (family) => {
      using ncdevmem = await Ncdevmem.receive(ADDRESS[family], PORT, THEIR_QUEUE, SEQUENCE);
      expect(await send(ADDRESS[family], PORT, 4 * MiB)).toBe(0);
      const { status, received, wrong } = await ncdevmem.outcome;
      expect({ status, received, wrong }).toEqual({ status: 0, received: 4 * MiB, wrong: [] });
    },
  );

  it('is found out by ncdevmem where it sends something else', async () => {
    using ncdevmem = await Ncdevmem.receive(ADDRESS.IPv4, PORT, THEIR_QUEUE, SEQUENCE + 1);
    await send(ADDRESS.IPv4, PORT, MiB);
    const { status, wrong } = await ncdevmem.outcome;
    expect(status).toBe(1);
    expect(wrong.length).toBeGreaterThan(20);
  });
});

describe.runIf(NCDEVMEM !== undefined)('recv', () => {
  it("receives the stream of ncdevmem's own instructions", async () => {
    const address = `${ADDRESS.IPv4}:${OUR_PORT}`;
    using receiver = recv('--listen', address, '--queues', '1', `--verify=${PATTERN}`);
    await receiver.said(/listening/);
    expect(await sendByShell(ADDRESS.IPv4, OUR_PORT, 16 * MiB)).toBe(0);
    expect(await report(receiver)).toMatchObject({
      ...ALL_IN_DEVICE,
      status: 0,
      bytes: 16 * MiB,
      deviceBytes: 16 * MiB,
    });
  });

  it('receives on what ncdevmem has set up', async () => {
    using ncdevmem = await Ncdevmem.receive(ADDRESS.IPv4, PORT, THEIR_QUEUE, SEQUENCE);
    await send(ADDRESS.IPv4, PORT, MiB);
    expect((await ncdevmem.outcome).status).toBe(0);
    // It leaves behind: header split, the RSS table, the rule to its queue.
    expect(ruleCount()).toBe(1);
    const where = ['--listen', `${ADDRESS.IPv4}:${PORT}`, '--queues', String(THEIR_QUEUE)];
    using receiver = recv(...where, '--no-prepare', `--verify=${PATTERN}`);
    await receiver.said(/listening/);
    await send(ADDRESS.IPv4, PORT, 16 * MiB);
    expect(await report(receiver)).toMatchObject({
      ...ALL_IN_DEVICE,
      status: 0,
      deviceBytes: 16 * MiB,
    });
  });

  it('receives beside ncdevmem, each on a queue of its own', async () => {
    using ncdevmem = await Ncdevmem.receive(ADDRESS.IPv4, PORT, THEIR_QUEUE, SEQUENCE);
    const where = ['--listen', `${ADDRESS.IPv4}:${OUR_PORT}`, '--queues', String(OUR_QUEUE)];
    using receiver = recv(...where, `--verify=${PATTERN}`);
    await receiver.said(/listening/);
    await Promise.all([send(ADDRESS.IPv4, PORT, 4 * MiB), send(ADDRESS.IPv4, OUR_PORT, 16 * MiB)]);
    expect(await report(receiver)).toMatchObject({
      ...ALL_IN_DEVICE,
      status: 0,
      deviceBytes: 16 * MiB,
    });
    const { status, received, wrong } = await ncdevmem.outcome;
    expect({ status, received, wrong }).toEqual({ status: 0, received: 4 * MiB, wrong: [] });
    // Its rule is left alone.
    expect(ruleCount()).toBe(1);
  });

  it('does not take the queue of ncdevmem, and the doctor sees whose it is', async () => {
    using ncdevmem = await Ncdevmem.receive(ADDRESS.IPv4, PORT, THEIR_QUEUE, SEQUENCE);
    const taken = `${THEIR_QUEUE} (binding ${ncdevmem.bindingId})`;
    const where = ['--listen', `${ADDRESS.IPv4}:${OUR_PORT}`, '--queues', String(THEIR_QUEUE)];
    using receiver = recv(...where, '--no-prepare');
    const { status, stderr } = await receiver.outcome;
    expect(status).toBe(1);
    expect(stderr).toContain(taken);
    const { findings } = JSON.parse((await runCli(['doctor', '--json'])).stdout) as Report;
    expect(findings.find(({ id }) => id === 'interface.bound')?.title).toContain(taken);
    expect(await send(ADDRESS.IPv4, PORT, MiB)).toBe(0);
    expect((await ncdevmem.outcome).received).toBe(MiB);
  });
});
