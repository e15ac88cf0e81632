/**
 * Urgent data for a bound queue: it panics kernels without the first patch of
 * kernel/patches/linux-6.12, so those are only sent it behind the mitigation.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type Binding, bindRx, createServer, type DevmemSocket, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { dropUrgentData } from '../../dist/doctor/checks/hazards.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  run,
  setParameter,
  steerToQueues,
} from './support/guest.js';
import { has, reproduce } from './support/mended.js';

const SENDER = fileURLToPath(new URL('support/urgent.py', import.meta.url));

const mended = reproduce || has('tcp_urg_unreadable');

let memory: DmaBuf;
let binding: Binding;
let restoreSteering: () => void;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
  binding = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
  restoreSteering = steerToQueues(1, 1);
});

afterAll(async () => {
  restoreSteering();
  await binding.close();
  await memory.close();
});

/** Starts urgent.py in the peer's namespace; the end of its stdin makes it reset. */
function startSender(family: Family, port: number, urgentBytes: number): ChildProcess {
  const args = ['python3', SENDER, ADDRESS[family], String(port), String(urgentBytes)];
  return spawn('peer', args, { stdio: ['pipe', 'inherit', 'inherit'] });
}

const totalLength = (pieces: readonly Buffer[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

/** Adds what arrives to `pieces`. */
async function collect(socket: DevmemSocket, pieces: Buffer[]): Promise<void> {
  for await (const batch of socket.batches()) {
    batch.forEach(
      (offset, size) => pieces.push(memory.read(offset, size)),
      (bytes) => pieces.push(Buffer.from(bytes)),
    );
    batch.release();
  }
}

describe.runIf(mended).each<Family>(['IPv4', 'IPv6'])('urgent data over %s', (family) => {
  /** Receives all that urgent.py sends. */
  async function receive(urgentBytes: number): Promise<{ text: string; deviceBytes: number }> {
    const pieces: Buffer[] = [];
    let deviceBytes = 0;
    await using server = createServer({ binding }, async (socket) => {
      await collect(socket, pieces);
      ({ deviceBytes } = socket.stats);
    });
    const { port } = await server.listen({ host: ADDRESS[family] });
    const sender = startSender(family, port, urgentBytes);
    expect(await once(sender, 'exit')).toEqual([0, null]);
    return { text: Buffer.concat(pieces).toString(), deviceBytes };
  }

  const streamWith = (urgent: number): string =>
    'a'.repeat(5000) + 'b'.repeat(urgent) + 'c'.repeat(5000);

  it('stays in the stream where its byte lies in device memory', async () => {
    const { text, deviceBytes } = await receive(3000);
    expect(text).toBe(streamWith(3000));
    expect(deviceBytes).toBe(text.length);
  });

  it('stays there behind payload that came beside the headers', async () => {
    const restore = setParameter('linear_bytes', 64);
    try {
      expect((await receive(3000)).text).toBe(streamWith(3000));
    } finally {
      restore();
    }
  });

  it('is taken out of the stream, as ever, where the kernel can read its byte', async () => {
    const restore = setParameter('linear_bytes', 2048);
    try {
      expect((await receive(100)).text).toBe(streamWith(99));
    } finally {
      restore();
    }
  });
});

describe.runIf(!mended)('the mitigation on a kernel that urgent data panics', () => {
  const TABLE = ['table', 'netdev', 'devmem'];

  /** Packets that the rule dropped. */
  function dropped(): number {
    return Number(/counter packets (\d+)/.exec(run('nft', 'list', ...TABLE))?.[1]);
  }

  beforeAll(() => {
    // As the doctor prints it, for a shell.
    run('sh', '-c', dropUrgentData(INTERFACE));
    return () => run('nft', 'delete', ...TABLE);
  });

  it.each<Family>(['IPv4', 'IPv6'])('drops it before TCP sees it, over %s', async (family) => {
    const pieces: Buffer[] = [];
    await using server = createServer({ binding }, (socket) => collect(socket, pieces));
    // Of the reset at the end.
    server.on('socketError', () => {});
    const { port } = await server.listen({ host: ADDRESS[family] });
    const before = dropped();
    const sender = startSender(family, port, 3000);
    // The segment and its first retransmission; nftables tells of neither.
    while (dropped() < before + 2) await delay(50);
    // A reset takes from the receiver what it has not read.
    while (totalLength(pieces) < 5000) await delay(50);
    sender.stdin!.end();
    expect(await once(sender, 'exit')).toEqual([0, null]);
    expect(Buffer.concat(pieces).toString()).toBe('a'.repeat(5000));
  });
});
