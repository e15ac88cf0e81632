/** Whole streams on the kernel's devmem path, every byte looked at in the dma-buf. */
import { type Binding, DmaBuf } from 'devmem-tcp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import {
  type Family,
  INTERFACE,
  rxQueues,
  setMtu,
  setParameter,
  statistic,
  steerToQueues,
  streamBytes,
} from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { type Received, receiveStreams } from './support/transfer.js';
import { bindRx, oneQueue } from './support/transport.js';

const MiB = 2 ** 20;

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 64 * MiB });
  return oneQueue ? steerToQueues(1, 1) : undefined;
});

afterAll(() => memory.close());

function bindAllQueues(): Promise<Binding> {
  const queues = oneQueue ? [1] : rxQueues();
  return bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
}

/** What holds for every stream: complete, right, in device memory, and given back. */
function expectWhole(received: Received, bytes: number): void {
  expect(received.firstWrong).toBe(-1);
  expect(received.bytes).toBe(bytes);
  const { stats } = received;
  expect(stats.deviceBytes + stats.linearBytes).toBe(bytes);
  expect(stats.deviceBytes / bytes).toBeGreaterThanOrEqual(0.99);
  expect(stats.copiedBytes).toBe(0);
  expect(stats.tokensReturned).toBe(stats.tokensTaken);
  expect(stats.tokensMissed).toBe(0);
  expect(stats.heldFragments).toBe(0);
}

describe.each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  describe.each([1500, 9000])('with MTU %i', (mtu) => {
    afterEach(() => setMtu(1500));

    it('receives a long stream byte-exact and leaves no fragment behind', async () => {
      setMtu(mtu);
      await using binding = await bindAllQueues();
      const bytes = streamBytes(256 * MiB, 16);
      const [received] = await receiveStreams(binding, family, bytes);
      expectWhole(received!, bytes);
      expect(binding.heldBytes).toBe(0);
      expect(await poolsLeftAfterClose(binding)).toBe(0);
    });

    it('receives byte-exact while 1% of the packets are lost', async () => {
      setMtu(mtu);
      const restoreLoss = setParameter('loss', 100);
      const lostBefore = statistic('rx_loss_injected');
      try {
        await using binding = await bindAllQueues();
        // Where the sender hands over super-packets, one in a hundred of those is lost.
        const bytes = streamBytes(256 * MiB, 4);
        const [received] = await receiveStreams(binding, family, bytes);
        expectWhole(received!, bytes);
        expect(statistic('rx_loss_injected')).toBeGreaterThan(lostBefore);
        expect(await poolsLeftAfterClose(binding)).toBe(0);
      } finally {
        restoreLoss();
      }
    });
  });
});

it.skipIf(oneQueue)('serves 8 connections at once on two bound queues', async () => {
  const restoreSteering = steerToQueues(2, 2);
  try {
    await using binding = await bindRx({
      interface: INTERFACE,
      queues: [2, 3],
      memory,
      mode: 'devmem',
    });
    const bytes = 16 * MiB;
    const streams = await receiveStreams(binding, 'IPv4', bytes, 8);
    expect(streams).toHaveLength(8);
    for (const received of streams) expectWhole(received, bytes);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  } finally {
    restoreSteering();
  }
});

it('delivers linear and device bytes of one stream in order', async () => {
  const restore = setParameter('linear_bytes', 100);
  try {
    await using binding = await bindAllQueues();
    const bytes = 32 * MiB;
    const [received] = await receiveStreams(binding, 'IPv4', bytes);
    expect(received!.firstWrong).toBe(-1);
    expect(received!.bytes).toBe(bytes);
    expect(received!.stats.linearBytes).toBeGreaterThan(0);
    expect(received!.stats.deviceBytes).toBeGreaterThan(0);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  } finally {
    restore();
  }
});

it('delivers traffic of unbound queues as linear fragments', async () => {
  const restoreSteering = steerToQueues(0, 1);
  try {
    await using binding = await bindRx({
      interface: INTERFACE,
      queues: [3],
      memory,
      mode: 'devmem',
    });
    const bytes = 8 * MiB;
    const [received] = await receiveStreams(binding, 'IPv4', bytes);
    expect(received!.firstWrong).toBe(-1);
    expect(received!.stats.linearBytes).toBe(bytes);
    expect(received!.stats.deviceBytes).toBe(0);
  } finally {
    restoreSteering();
  }
});
