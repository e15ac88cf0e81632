/** Several threads and processes that receive at once. */
import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { ADDRESS, steerPort } from './support/guest.js';
import { startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const CLUSTER = fileURLToPath(new URL('support/cluster.mjs', import.meta.url));
const LONE_WORKER = fileURLToPath(new URL('support/lone-worker.mjs', import.meta.url));

interface Report {
  queue: number;
  bytes: number;
  deviceBytes: number;
  tokensTaken: number;
  tokensReturned: number;
}

it('a cluster receives with one queue per worker', async () => {
  const bytes = 16 * MiB;
  const cluster = fork(CLUSTER);
  const exit = once(cluster, 'exit');
  const [{ ports }] = (await once(cluster, 'message')) as [{ ports: number[] }];
  const rules = ports.map((port, index) => steerPort(port, 1 + index));
  try {
    const messages = on(cluster, 'message');
    for (const port of ports) startSender(ADDRESS.IPv4, port, bytes);
    const reports: Report[] = [];
    for await (const [report] of messages) {
      reports.push(report as Report);
      if (reports.length === ports.length) break;
    }
    expect(reports.map((report) => report.queue).sort()).toEqual([1, 2]);
    for (const report of reports) {
      expect(report.bytes).toBe(bytes);
      expect(report.deviceBytes).toBe(bytes);
      expect(report.tokensReturned).toBe(report.tokensTaken);
    }
  } finally {
    for (const remove of rules) remove();
    cluster.kill('SIGKILL');
    await exit;
  }
});

it('a worker thread that alone loads the addon is terminated in mid-receive', async () => {
  const program = fork(LONE_WORKER);
  const exit = once(program, 'exit');
  const [{ port }] = (await once(program, 'message')) as [{ port: number }];
  const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
  await once(sender, 'exit');
  expect(await exit).toEqual([0, null]);
});
