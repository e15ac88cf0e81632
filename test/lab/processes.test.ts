/** Several threads and processes that receive at once. */
import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { createServer, DmaBuf } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNothingInherited, ownDescriptors } from '../support/inherited.js';
import { ADDRESS, INTERFACE, steerPort, steerToQueues } from './support/guest.js';
import { startSender } from './support/transfer.js';
import { bindRx } from './support/transport.js';

const MiB = 2 ** 20;
const CLUSTER = fileURLToPath(new URL('support/cluster.mjs', import.meta.url));
const WORKER_THREADS = fileURLToPath(new URL('support/worker-threads.mjs', import.meta.url));
const LONE_WORKER = fileURLToPath(new URL('support/lone-worker.mjs', import.meta.url));

interface Report {
  queue: number;
  bytes: number;
  deviceBytes: number;
  tokensTaken: number;
  tokensReturned: number;
}

interface WorkerReport {
  queue: number;
  bytes: number;
  deviceBytes: number;
  firstWrong: number;
  tokensLeft: number;
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

it('worker threads receive with one binding and several streams each', async () => {
  const bytes = 8 * MiB;
  const program = fork(WORKER_THREADS);
  const exit = once(program, 'exit');
  const messages = on(program, 'message');
  const rules: (() => void)[] = [];
  const reports: WorkerReport[] = [];
  try {
    for await (const [message] of messages) {
      if ('ports' in message) {
        const { ports, streams } = message as { ports: number[]; streams: number };
        rules.push(...ports.map((port, index) => steerPort(port, 1 + index)));
        for (const port of ports) {
          for (let i = 0; i < streams; i++) startSender(ADDRESS.IPv4, port, bytes);
        }
      } else if (reports.push(message as WorkerReport) === 6) {
        break;
      }
    }
    expect(await exit).toEqual([0, null]);
  } finally {
    for (const remove of rules) remove();
    program.kill('SIGKILL');
  }
  expect(reports.map(({ queue }) => queue).sort()).toEqual([1, 1, 2, 2, 3, 3]);
  for (const report of reports) {
    expect(report).toMatchObject({ bytes, deviceBytes: bytes, firstWrong: -1, tokensLeft: 0 });
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

it('programs that are started in mid-stream get nothing of it', async () => {
  const restoreSteering = steerToQueues(1, 1);
  try {
    const before = ownDescriptors();
    await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    await using binding = await bindRx({
      interface: INTERFACE,
      queues: [1],
      memory,
      mode: 'devmem',
    });
    let checked: Promise<void> | undefined;
    await using server = createServer({ binding }, async (socket) => {
      for await (using batch of socket.batches()) {
        if (batch.length === 0) continue;
        checked ??= expectNothingInherited(before, [/^socket:/m, /dmabuf/, /memfd/]);
        await checked;
      }
    });
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    await once(startSender(ADDRESS.IPv4, port, 8 * MiB), 'exit');
    await checked;
    expect(checked).toBeDefined();
  } finally {
    restoreSteering();
  }
});
