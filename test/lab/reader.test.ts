/** Exact numbers of bytes on the kernel's devmem path: takes, records, copies to one place. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import {
  type Binding,
  bindRx,
  createServer,
  DmaBuf,
  type Payload,
  type SocketReader,
  type SocketStats,
} from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Pattern } from '../../dist/cli/transfer/pattern.js';
import {
  ADDRESS,
  INTERFACE,
  rxQueues,
  setParameter,
  statistic,
  streamBytes,
} from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { startSender } from './support/transfer.js';

const KiB = 1024;
const MiB = 1024 * KiB;

const pattern = new Pattern(1);

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 64 * MiB });
});

afterAll(() => memory.close());

function bindAllQueues(): Promise<Binding> {
  return bindRx({ interface: INTERFACE, queues: rxQueues(), memory, mode: 'devmem' });
}

/** Has a stream of the pattern sent and read; what its socket counted. */
async function read(
  binding: Binding,
  bytes: number,
  consume: (reader: SocketReader) => Promise<void>,
): Promise<SocketStats> {
  const host = ADDRESS.IPv4;
  const stats: Promise<SocketStats>[] = [];
  await using server = createServer({ binding }, async (socket) => {
    const outcome = consume(socket.reader()).then(() => delay(0).then(() => socket.stats));
    stats.push(outcome);
    await outcome;
  });
  const { port } = await server.listen({ host });
  const sender = startSender(host, port, bytes);
  try {
    const [status] = (await once(sender, 'exit')) as [number];
    expect(status).toBe(0);
    return (await Promise.all(stats))[0]!;
  } finally {
    sender.kill('SIGKILL');
  }
}

// Bytes. Each access by the CPU takes the kernel through all pages of the memory, and a kernel
// that checks what it does through many lists for each.
const LOOKED_AT_TOGETHER = 256 * 1024;

function verify(bytes: Uint8Array, position: number): void {
  const wrong = pattern.mismatch(position, bytes);
  if (wrong !== -1) throw new Error(`byte ${position + wrong} of the stream is wrong`);
}

/** Of leases that follow each other. */
function verifyLeases(leases: readonly Payload[], position: number): void {
  memory.cpuAccess(() => {
    let at = position;
    for (const lease of leases) {
      const end = at + lease.byteLength;
      for (const fragment of lease) {
        verify(fragment.view(), at);
        at += fragment.size;
      }
      expect(at).toBe(end);
    }
  });
}

const verifyLease = (lease: Payload, position: number): void => {
  verifyLeases([lease], position);
};

/** What holds after each stream. */
async function expectGivenBack(binding: Binding, stats: SocketStats): Promise<void> {
  expect(stats.tokensReturned).toBe(stats.tokensTaken);
  expect(stats.tokensMissed).toBe(0);
  expect(stats.heldFragments).toBe(0);
  expect(binding.heldBytes).toBe(0);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
}

const drops = (): number => statistic('rx_pool_empty') + statistic('rx_no_memory');

it('copies a long stream through its memory to a larger one, and the NIC drops nothing', async () => {
  await using target = await DmaBuf.allocate({ type: 'host', size: 128 * MiB });
  await using binding = await bindAllQueues();
  const before = drops();
  const bytes = streamBytes(1024 * MiB, 16);
  const stats = await read(binding, bytes, async (reader) => {
    for (let position = 0; position < bytes; position += target.size) {
      const length = Math.min(target.size, bytes - position);
      expect(await reader.readInto(target, { length })).toBe(length);
      for (let at = 0; at < length; at += MiB) verify(target.read(at, MiB), position + at);
    }
    expect(await reader.readInto(target)).toBe(0);
  });
  expect(stats.deviceBytes / bytes).toBeGreaterThanOrEqual(0.99);
  expect(drops()).toBe(before);
  await expectGivenBack(binding, stats);
});

describe.each([0, 100])('with %i linear bytes in front of each payload', (linear) => {
  const bytes = streamBytes(32 * MiB, 4);

  /** Reads a stream of `bytes` in some way. */
  async function stream(consume: (reader: SocketReader) => Promise<void>): Promise<void> {
    const restore = setParameter('linear_bytes', linear);
    try {
      await using binding = await bindAllQueues();
      const before = drops();
      const stats = await read(binding, bytes, consume);
      expect(stats.deviceBytes + stats.linearBytes).toBe(bytes);
      expect(stats.deviceBytes).toBeGreaterThan(0);
      if (linear > 0) expect(stats.linearBytes).toBeGreaterThan(0);
      expect(drops()).toBe(before);
      await expectGivenBack(binding, stats);
    } finally {
      restore();
    }
  }

  it.each([1449, 65537, 3 * MiB + 1])('takes it in spans of %i bytes', (size) =>
    stream(async (reader) => {
      let position = 0;
      while (position + size <= bytes) {
        const first = position;
        const spans: Payload[] = [];
        try {
          while (position + size <= bytes && position - first < LOOKED_AT_TOGETHER) {
            const span = await reader.take(size);
            spans.push(span);
            expect(span.byteLength).toBe(size);
            position += size;
          }
          verifyLeases(spans, first);
        } finally {
          for (const span of spans) span.release();
        }
      }
      verify(await reader.read(bytes - position), position);
    }),
  );

  it('has records that span batches, for a slow consumer that keeps some', () =>
    stream(async (reader) => {
      // What the pattern says; the last one may be cut off.
      const headerBytes = 4;
      const length = (header: Uint8Array): number => (header[0]! << 12) + header[1]!;
      const held: { lease: Payload; position: number }[] = [];
      let position = 0;
      try {
        for await (const record of reader.records({ headerBytes, length })) {
          verify(record.header, position);
          held.push({ lease: record, position: position + headerBytes });
          verifyLease(record, position + headerBytes);
          position += headerBytes + record.byteLength;
          if (held.length < 8) continue;
          await delay(2);
          const [oldest] = held.splice(position % held.length, 1);
          verifyLease(oldest!.lease, oldest!.position);
          oldest!.lease.release();
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END' });
        await reader.skip(bytes - position);
      }
      for (const { lease } of held) lease.release();
      expect(reader.position).toBe(bytes);
    }));

  it.each(['host', 'udmabuf', 'an array'])('copies it to %s by calls of every size', (kind) =>
    stream(async (reader) => {
      const type = kind === 'host' ? 'host' : 'udmabuf';
      await using target = await DmaBuf.allocate({ type, size: bytes });
      const array = kind === 'an array' ? new Uint8Array(bytes) : undefined;
      const calls: Promise<number>[] = [];
      for (let offset = 0, size = 1; offset < bytes; size = Math.min(size * 3, 5 * MiB)) {
        const length = Math.min(size, bytes - offset);
        calls.push(reader.readInto(array ?? target, { offset, length }));
        offset += length;
      }
      const counts = await Promise.all(calls);
      expect(counts.reduce((sum, each) => sum + each, 0)).toBe(bytes);
      verify(array ?? target.read(0, bytes), 0);
    }),
  );

  it('looks ahead, reads and searches out of any memory', () =>
    stream(async (reader) => {
      const step = 60 * KiB;
      let position = 0;
      for (; position + step <= bytes; position = reader.position) {
        verify(await reader.peek(5000), position);
        verify(await reader.read(3001), position);
        const delimiter = pattern.slice(position + 9000, 12);
        verify(await reader.readUntil(delimiter, { limit: 20 * KiB }), position + 3001);
        expect(reader.position).toBe(position + 9012);
        await reader.skip(step - 9012);
      }
      await reader.skip(bytes - position);
    }));
});

it('refuses the memory that it receives into, also by another object of it', async () => {
  await using binding = await bindAllQueues();
  await using same = await DmaBuf.import({ fd: memory.fd });
  const stats = await read(binding, MiB, async (reader) => {
    for (const target of [memory, same]) {
      await expect(reader.readInto(target)).rejects.toMatchObject({
        code: 'ERR_DEVMEM_WRONG_MEMORY',
      });
    }
    await reader.skip(MiB);
  });
  await expectGivenBack(binding, stats);
});
