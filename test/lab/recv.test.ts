/** `devmem-tcp recv` from a bare interface to a verified stream, and everything as before. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';

import type { ReceiveReport } from '../../dist/cli/transfer/receive-report.js';
import { addressText } from '../../dist/cli/values.js';
import { Cli, MAIN, runCli } from '../support/cli.js';
import { BrokerProcess } from '../support/broker.js';
import { ADDRESS, type Family, INTERFACE, rxQueues, setHeaderSplit } from './support/guest.js';
import { makeBare, snapshot } from './support/nic.js';
import { TRANSPORT } from './support/transport.js';

const MiB = 2 ** 20;
const PORT = 5201;
const BYTES = 64 * MiB;

const QUEUE = rxQueues().at(-1)!;
const NOBODY = '65534';

let before: string;

beforeEach(async () => {
  // As a NIC comes up.
  await makeBare();
  before = await snapshot();
});

afterEach(async () => {
  await runCli(['nic', 'restore']);
  await setHeaderSplit(true);
});

function receiving(family: Family, ...options: string[]): string[] {
  return [
    ...['recv', '--listen', addressText(ADDRESS[family], PORT), '--mode', 'devmem', '--json'],
    ...['--transport', TRANSPORT],
    ...['--interface', INTERFACE, '--queues', String(QUEUE), ...options],
  ];
}

const receiver = (family: Family, ...options: string[]): Cli =>
  new Cli(receiving(family, ...options));

/** Sends from the peer; resolves with the exit status. */
async function send(family: Family, ...options: string[]): Promise<number | null> {
  const where = addressText(ADDRESS[family], PORT);
  const args = [process.execPath, MAIN, 'send', '--connect', where, ...options];
  const sender = spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [status] = (await once(sender, 'exit')) as [number | null];
  return status;
}

describe('recv with no ethtool call before', () => {
  it.for(['IPv4', 'IPv6'] as const)(
    'receives 64 MiB into device memory over %s, and leaves the interface as it was',
    async (family) => {
      using recv = receiver(family, '--verify');
      await recv.said(/listening/);
      expect(await snapshot()).not.toEqual(before);
      expect(await send(family, '--bytes', String(BYTES))).toBe(0);
      const { status, stdout, stderr } = await recv.outcome;
      expect(stderr).toContain('into device memory');
      expect(status).toBe(0);
      const report = JSON.parse(stdout) as ReceiveReport;
      expect(report).toMatchObject({
        transport: TRANSPORT,
        interface: INTERFACE,
        bytes: BYTES,
        deviceBytes: BYTES,
        linearBytes: 0,
        copiedBytes: 0,
        verified: true,
      });
      expect(await snapshot()).toEqual(before);
    },
  );

  it.for(['udmabuf', 'dma-heap:system'])('receives into %s', async (memory) => {
    using recv = receiver('IPv4', '--verify', '--memory', memory, '--size', '32M');
    await recv.said(/listening/);
    await send('IPv4', '--bytes', '8M');
    const { status, stdout } = await recv.outcome;
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      memory: { type: memory.split(':')[0], size: 32 * MiB },
      deviceBytes: 8 * MiB,
      verified: true,
    });
  });

  it('puts everything back on SIGINT in mid-stream, and reports', async () => {
    using recv = receiver('IPv4', '--verify', '--connections', '0');
    await recv.said(/listening/);
    await send('IPv4', '--bytes', '2M');
    recv.kill('SIGINT');
    const { status, stdout } = await recv.outcome;
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ended: 'interrupted',
      bytes: 2 * MiB,
      verified: true,
    });
    expect(await snapshot()).toEqual(before);
  });

  it("leaves it to 'nic restore' where it was killed", async () => {
    using recv = receiver('IPv4');
    await recv.said(/listening/);
    recv.kill('SIGKILL');
    await recv.outcome;
    expect(await snapshot()).not.toEqual(before);
    expect((await runCli(['nic', 'restore'])).status).toBe(0);
    expect(await snapshot()).toEqual(before);
  });
});

it('says what is missing where the interface was not set up', async () => {
  using recv = receiver('IPv4', '--no-prepare');
  const { status, stderr } = await recv.outcome;
  expect(status).toBe(1);
  expect(stderr).toContain(`ethtool -G ${INTERFACE} tcp-data-split on`);
});

// A broker cannot hand over a ring.
it.skipIf(TRANSPORT === 'zcrx')('needs no privilege where a broker binds', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'recv-'));
  const { mode } = statSync('/dev/udmabuf');
  onTestFinished(() => {
    rmSync(folder, { recursive: true });
    chmodSync('/dev/udmabuf', mode);
  });
  chmodSync(folder, 0o755);
  chmodSync('/dev/udmabuf', 0o666);
  const socket = join(folder, 'broker');
  const flows = ['--listen', String(PORT)];
  const which = ['--interface', INTERFACE, '--queues', String(QUEUE)];
  expect((await runCli(['nic', 'apply', ...which, ...flows])).status).toBe(0);
  const allowed = ['--allow', `${INTERFACE}:${QUEUE}`];
  await using broker = await BrokerProcess.start(socket, '--mode', '0666', ...allowed);
  using recv = new Cli(receiving('IPv4', '--broker', socket, '--memory', 'udmabuf', '--verify'), {
    prefix: ['setpriv', '--reuid', NOBODY, '--regid', NOBODY, '--clear-groups'],
  });
  await recv.said(/listening/);
  await broker.said(`for user ${NOBODY}`);
  await send('IPv4', '--bytes', '8M');
  const { status, stdout } = await recv.outcome;
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ deviceBytes: 8 * MiB, verified: true });
});
