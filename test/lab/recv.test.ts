/** `devmem-tcp recv` from a bare interface to a verified stream, and everything as before. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ReceiveReport } from '../../dist/cli/transfer/receive-report.js';
import { getRings } from '../../dist/nic/netlink/ethtool.js';
import { Cli, MAIN, runCli } from '../support/cli.js';
import { ADDRESS, type Family, INTERFACE, run, rxQueues, setHeaderSplit } from './support/guest.js';

const MiB = 2 ** 20;
const PORT = 5201;
const BYTES = 64 * MiB;

/** What recv changes: rings with header split, the RSS table, rules, features. */
const settings = async () => ({
  rings: await getRings(INTERFACE),
  rss: run('ethtool', '-x', INTERFACE),
  rules: run('ethtool', '-n', INTERFACE),
  features: run('ethtool', '-k', INTERFACE),
});

let before: Awaited<ReturnType<typeof settings>>;

beforeEach(async () => {
  // As a NIC comes up.
  await setHeaderSplit(false);
  before = await settings();
});

afterEach(async () => {
  await runCli(['nic', 'restore']);
  await setHeaderSplit(true);
});

function receiver(family: Family, ...options: string[]): Cli {
  const host = family === 'IPv6' ? `[${ADDRESS.IPv6}]` : ADDRESS.IPv4;
  const queues = String(rxQueues().at(-1));
  return new Cli([
    ...['recv', '--listen', `${host}:${PORT}`, '--mode', 'devmem', '--json'],
    ...['--interface', INTERFACE, '--queues', queues, ...options],
  ]);
}

/** Sends from the peer; resolves with the exit status. */
async function send(family: Family, ...options: string[]): Promise<number | null> {
  const host = family === 'IPv6' ? `[${ADDRESS.IPv6}]` : ADDRESS.IPv4;
  const args = [process.execPath, MAIN, 'send', '--connect', `${host}:${PORT}`, ...options];
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
      expect(await settings()).not.toEqual(before);
      expect(await send(family, '--bytes', String(BYTES))).toBe(0);
      const { status, stdout, stderr } = await recv.outcome;
      expect(stderr).toContain('into device memory');
      expect(status).toBe(0);
      const report = JSON.parse(stdout) as ReceiveReport;
      expect(report).toMatchObject({
        transport: 'cmsg',
        interface: INTERFACE,
        bytes: BYTES,
        deviceBytes: BYTES,
        linearBytes: 0,
        copiedBytes: 0,
        verified: true,
      });
      expect(await settings()).toEqual(before);
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
    expect(await settings()).toEqual(before);
  });

  it("leaves it to 'nic restore' where it was killed", async () => {
    using recv = receiver('IPv4');
    await recv.said(/listening/);
    recv.kill('SIGKILL');
    await recv.outcome;
    expect(await settings()).not.toEqual(before);
    expect((await runCli(['nic', 'restore'])).status).toBe(0);
    expect(await settings()).toEqual(before);
  });
});

it('says what is missing where the interface was not set up', async () => {
  using recv = receiver('IPv4', '--no-prepare');
  const { status, stderr } = await recv.outcome;
  expect(status).toBe(1);
  expect(stderr).toContain(`ethtool -G ${INTERFACE} tcp-data-split on`);
});
