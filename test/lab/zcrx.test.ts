/** What is particular to receiving by io_uring: one ring for many sockets, and its end. */
import { fork } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';

import {
  type Batch,
  type Binding,
  bindRx,
  createServer,
  DmaBuf,
  type DevmemSocket,
  type SystemError,
} from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { ownDescriptors } from '../support/inherited.js';
import {
  ADDRESS,
  INTERFACE,
  rxQueues,
  setHeaderSplit,
  setParameter,
  statistic,
  steerToQueues,
} from './support/guest.js';
import { poolsLeft } from './support/page-pools.js';
import { setReceiveBuffers } from './support/receive-buffers.js';
import { type Received, receiveStreams, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const LONE_WORKER = fileURLToPath(new URL('support/lone-worker.mjs', import.meta.url));

describe.skipIf(Number(release().split('.')[0]) < 7)('io_uring zero-copy receive', () => {
  let memory: DmaBuf;
  let binding: Binding;

  const bind = (options: { heldLimit?: number; queues?: number[]; memory?: DmaBuf } = {}) =>
    bindRx({
      interface: INTERFACE,
      queues: [1],
      memory,
      mode: 'devmem',
      transport: 'zcrx',
      ...options,
    });

  beforeAll(async () => {
    memory = await DmaBuf.allocate({ type: 'udmabuf', size: 32 * MiB });
    const restoreSteering = steerToQueues(1, 1);
    return restoreSteering;
  });

  afterAll(() => memory.close());

  beforeEach(async () => {
    binding = await bind();
    return async () => {
      await binding.close();
      await expectNothingLeft();
    };
  });

  /** No ring, no page pool, and a queue that can be taken at once. */
  async function expectNothingLeft(): Promise<void> {
    expect(rings()).toBe(0);
    expect(binding.heldBytes).toBe(0);
    const again = await bind();
    await again.close();
    expect(await poolsLeft()).toBe(0);
  }

  const rings = (): number =>
    ownDescriptors().filter(({ target }) => target.includes('[io_uring]')).length;

  function expectWhole(received: Received, bytes: number): void {
    expect(received).toMatchObject({ bytes, firstWrong: -1 });
    const { stats } = received;
    expect(stats.deviceBytes + stats.linearBytes).toBe(bytes);
    expect(stats).toMatchObject({ heldFragments: 0, copiedBytes: 0 });
    expect(stats.tokensReturned).toBe(stats.tokensTaken);
  }

  /** Serves one connection of a sender of so many bytes. */
  async function serveOne<T>(
    bytes: number,
    handler: (socket: DevmemSocket) => Promise<T>,
  ): Promise<T> {
    let outcome: Promise<T> | undefined;
    await using server = createServer({ binding }, async (socket) => {
      outcome = handler(socket);
      await outcome.catch(() => {});
    });
    server.on('socketError', () => {});
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    const sender = startSender(ADDRESS.IPv4, port, bytes, 'ignore');
    const connected = once(server, 'connection');
    await connected;
    while (outcome === undefined) await new Promise(setImmediate);
    try {
      return await outcome;
    } finally {
      sender.kill('SIGKILL');
    }
  }

  it('tells what it is', async () => {
    expect(binding).toMatchObject({ transport: 'zcrx', copies: false, rxPageSize: 4096 });
    expect(await binding.rxQueues()).toMatchObject([{ id: 1, otherUser: 'io_uring' }]);
    expect((await binding.pagePools()).length).toBeGreaterThan(0);
    await binding.close();
    expect(await binding.rxQueues()).toEqual([]);
  });

  it('receives several streams byte-exact, on one ring', async () => {
    const bytes = 16 * MiB;
    const streams = await receiveStreams(binding, 'IPv4', bytes, 4);
    expect(streams).toHaveLength(4);
    for (const received of streams) {
      expectWhole(received, bytes);
      expect(received.stats.deviceBytes).toBe(bytes);
    }
    expect(rings()).toBe(1);
  });

  it('stops at its limit where nothing is released, and goes on after that', async () => {
    const bytes = 48 * MiB;
    const held: Batch[] = [];
    let most = 0;
    let stalls = 0;
    const onStall = (): void => {
      stalls++;
      most = Math.max(most, binding.heldBytes);
      setImmediate(() => {
        for (const batch of held.splice(0)) batch.release();
      });
    };
    subscribe('devmem-tcp:stall', onStall);
    try {
      const received = await serveOne(bytes, async (socket) => {
        let sum = 0;
        for await (const batch of socket.batches()) {
          sum += batch.byteLength;
          held.push(batch);
        }
        return sum;
      });
      expect(received).toBe(bytes);
    } finally {
      unsubscribe('devmem-tcp:stall', onStall);
    }
    for (const batch of held) batch.release();
    expect(stalls).toBeGreaterThan(1);
    expect(most).toBeGreaterThan(binding.heldLimit / 2);
    expect(most).toBeLessThanOrEqual(binding.heldLimit);
  });

  it('tells that the memory ran dry, where what is held leaves none for queues', async () => {
    await binding.close();
    await using small = await DmaBuf.allocate({ type: 'udmabuf', size: 8 * MiB });
    binding = await bind({ memory: small, heldLimit: small.size });
    // Sockets stop reading at their limits: the kernel's own queues take the rest of it.
    const restoreBuffers = setReceiveBuffers(small.size);
    const held: Batch[] = [];
    const told: unknown[] = [];
    const onDry = (message: unknown): void => {
      told.push(message);
      for (const batch of held.splice(0)) batch.release();
    };
    const dropsBefore = statistic('rx_pool_empty');
    subscribe('devmem-tcp:memory-dry', onDry);
    let bytes = 0;
    try {
      await using server = createServer({ binding }, async (socket) => {
        for await (const batch of socket.batches()) {
          bytes += batch.byteLength;
          if (told.length === 0) held.push(batch);
          else batch.release();
        }
      });
      const { port } = await server.listen({ host: ADDRESS.IPv4 });
      const senders = [1, 2, 3, 4, 5, 6].map(() => startSender(ADDRESS.IPv4, port, 4 * MiB));
      await Promise.all(senders.map((sender) => once(sender, 'exit')));
    } finally {
      unsubscribe('devmem-tcp:memory-dry', onDry);
      restoreBuffers();
      for (const batch of held) batch.release();
    }
    expect(bytes).toBe(6 * 4 * MiB);
    expect(told[0]).toEqual({ bindingId: binding.id, interface: INTERFACE, queue: 1 });
    expect(statistic('rx_pool_empty')).toBeGreaterThan(dropsBefore);
    await binding.close();
  });

  it('delivers what no NIC wrote to the memory as linear fragments, in order', async () => {
    const restore = setParameter('linear_bytes', 100);
    try {
      const [received] = await receiveStreams(binding, 'IPv4', 4 * MiB);
      expectWhole(received!, 4 * MiB);
      expect(received!.stats.linearBytes).toBeGreaterThan(0);
      expect(received!.stats.deviceBytes).toBeGreaterThan(0);
    } finally {
      restore();
    }
  });

  it('is closed with requests in flight by a consumer that has had enough', async () => {
    const bytes = await serveOne(1024 * MiB, async (socket) => {
      let sum = 0;
      for await (using batch of socket.batches()) {
        sum += batch.byteLength;
        if (sum > 8 * MiB) break;
      }
      return sum;
    });
    expect(bytes).toBeGreaterThan(8 * MiB);
  });

  it('ends its connections when it is closed, after what had come', async () => {
    const error = await serveOne(1024 * MiB, async (socket) => {
      let sum = 0;
      try {
        for await (using batch of socket.batches()) {
          sum += batch.byteLength;
          if (sum > 4 * MiB && !binding.closed) void binding.close();
        }
        return undefined;
      } catch (reason) {
        return reason;
      }
    });
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_UNBOUND' });
  });

  it('leaves fragments intact that are held beyond connection and binding', async () => {
    const held: Batch[] = [];
    await serveOne(2 * MiB, async (socket) => {
      for await (const batch of socket.batches()) held.push(batch);
    });
    await binding.close();
    expect(binding.heldBytes).toBeGreaterThanOrEqual(2 * MiB);
    expect(memory.read(held[0]!.fragment(0).offset!, 1)).toHaveLength(1);
    for (const batch of held) batch.release();
  });

  it('a worker thread is terminated in mid-receive, and leaves its queue', async () => {
    await binding.close();
    const program = fork(LONE_WORKER, { env: { ...process.env, DEVMEM_TRANSPORT: 'zcrx' } });
    const exit = once(program, 'exit');
    const [{ port }] = (await once(program, 'message')) as [{ port: number }];
    const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
    await once(sender, 'exit');
    expect(await exit).toEqual([0, null]);
  });

  describe('refuses in words', () => {
    const refusal = (options: Parameters<typeof bind>[0]): Promise<SystemError> =>
      bind(options).then(
        async (made) => {
          await made.close();
          throw new Error('bindRx() succeeded');
        },
        (error: unknown) => error as SystemError,
      );

    it('a queue that is taken', async () => {
      await using other = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
      const error = await refusal({ memory: other });
      expect(error).toMatchObject({ code: 'EEXIST', syscall: 'io_uring_register(ZCRX_IFQ)' });
      expect(error.message).toContain(`rx queue 1 of ${INTERFACE} is io_uring's`);
      const byNetlink = bindRx({
        interface: INTERFACE,
        queues: [1],
        memory: other,
        mode: 'devmem',
      });
      await expect(byNetlink).rejects.toThrow(`rx queue 1 of ${INTERFACE} is io_uring's`);
    });

    it('header split that is off', async () => {
      await binding.close();
      await setHeaderSplit(false);
      try {
        const error = await refusal({});
        expect(error.syscall).toBe('io_uring_register(ZCRX_IFQ)');
        expect(error.message).toContain('header split is off');
      } finally {
        await setHeaderSplit(true);
      }
    });

    it('a queue that is not there', async () => {
      await using other = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
      const last = rxQueues().at(-1)!;
      const error = await refusal({ queues: [last + 1], memory: other });
      expect(error).toMatchObject({ code: 'ERANGE' });
      expect(error.message).toContain(`has no rx queue ${last + 1}`);
    });
  });

  it('reads a stream to its end when nobody wants the rest', async () => {
    const first = await serveOne(4 * MiB, async (socket) => {
      for await (const batch of socket.batches({ preventClose: true })) {
        const size = batch.byteLength;
        batch.release();
        await socket.close();
        return size;
      }
      return 0;
    });
    expect(first).toBeGreaterThan(0);
  });

  it('is read by a pattern reader after another stream has held all it may', async () => {
    const hoarded: Batch[] = [];
    await using server = createServer({ binding }, async (socket) => {
      for await (const batch of socket.batches()) hoarded.push(batch);
    });
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    const stalled = new Promise<void>((resolve) => {
      const onStall = (): void => {
        unsubscribe('devmem-tcp:stall', onStall);
        resolve();
      };
      subscribe('devmem-tcp:stall', onStall);
    });
    const hoarder = startSender(ADDRESS.IPv4, port, 64 * MiB, 'ignore');
    await stalled;
    const [received] = await receiveStreams(binding, 'IPv4', MiB);
    expectWhole(received!, MiB);
    hoarder.kill('SIGKILL');
    for (const batch of hoarded) batch.release();
  });
});
