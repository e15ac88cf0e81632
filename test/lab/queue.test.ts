/**
 * Receiving by the transport `queue`: what is particular to it. The tests that are for any
 * transport run by it with DEVMEM_TRANSPORT=queue.
 */
import { setImmediate } from 'node:timers/promises';

import { type Batch, type Binding, bindRx, connect, type DevmemSocket, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { INTERFACE, sendSegments, steerToQueues } from './support/guest.js';
import { hasTokenQueue } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { endReceived, setReceiveBuffers } from './support/receive-buffers.js';
import { countFragmentCalls, type FragmentCalls, hasStrace } from './support/system-calls.js';
import { patternReader, receiveStreams, type Received, startServer } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 4 * MiB;
const PEER_ADDRESS = '192.0.2.2';
const PORT = 5300;
const HELD = 64 * 1024;

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 64 * MiB });
  return steerToQueues(1, 1);
});

afterAll(() => memory.close());

function bind(transport: 'auto' | 'cmsg' | 'queue'): Promise<Binding> {
  return bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem', transport });
}

it.runIf(!hasTokenQueue)('is refused by a kernel without, and auto does without', async () => {
  await expect(bind('queue')).rejects.toMatchObject({
    code: 'ENOPROTOOPT',
    syscall: 'getsockopt(SO_DEVMEM_QUEUE)',
  });
  await using binding = await bind('auto');
  expect(binding.transport).toBe('cmsg');
});

describe.runIf(hasTokenQueue)('where the kernel has token queues', () => {
  /** A stream that waits in its socket, all of it but for what was read ahead. */
  async function waitingStream(
    binding: Binding,
    bytes: number,
    port: number,
  ): Promise<DevmemSocket> {
    await startServer(PEER_ADDRESS, port, bytes);
    const socket = await connect({ binding, host: PEER_ADDRESS, port });
    await endReceived(port);
    return socket;
  }

  it('auto is queue, and cmsg by its name', async () => {
    for (const [asked, told] of [
      ['auto', 'queue'],
      ['queue', 'queue'],
      ['cmsg', 'cmsg'],
    ] as const) {
      await using binding = await bind(asked);
      expect(binding.transport).toBe(told);
      const [received] = await receiveStreams(binding, 'IPv4', MiB);
      expect(received).toMatchObject({ firstWrong: -1, bytes: MiB });
      expect(await poolsLeftAfterClose(binding)).toBe(0);
    }
  });

  /** Reads such a stream without a pause; which calls that takes. */
  async function readWaiting(transport: 'cmsg' | 'queue'): Promise<FragmentCalls> {
    await using binding = await bind(transport);
    const socket = await waitingStream(binding, BYTES, PORT);
    expect(socket.transport).toBe(transport);
    let received: Received | undefined;
    const calls = await countFragmentCalls(async () => {
      received = await patternReader(socket);
    });
    expect(received).toMatchObject({ bytes: BYTES, firstWrong: -1 });
    expect(await poolsLeftAfterClose(binding)).toBe(0);
    return calls;
  }

  describe.runIf(hasStrace).each([false, true])('in segments of their own: %s', (segments) => {
    beforeAll(() => {
      const restore = setReceiveBuffers(64 * MiB);
      sendSegments(segments);
      return () => {
        sendSegments(false);
        restore();
      };
    });

    it('fragments that are read without a pause take neither calls nor control messages', async () => {
      const calls = await readWaiting('queue');
      expect(calls).toMatchObject({ told: 0, dontneed: 0 });
      // What the last read left in the ring, once nothing more comes.
      expect(calls.flush).toBeLessThanOrEqual(1);
    });

    it('by cmsg they take both', async () => {
      const { told, dontneed, flush } = await readWaiting('cmsg');
      expect(told).toBeGreaterThan(0);
      expect(dontneed).toBeGreaterThan(0);
      expect(flush).toBe(0);
    });
  });

  it.runIf(hasStrace)('one call gives back what several sockets released late', async () => {
    await using binding = await bind('queue');
    const batches: Batch[] = [];
    const sockets: DevmemSocket[] = [];
    for (const port of [PORT + 1, PORT + 2]) {
      const socket = await waitingStream(binding, HELD, port);
      sockets.push(socket);
      let bytes = 0;
      for await (const batch of socket.batches({ preventClose: true })) {
        batches.push(batch);
        bytes += batch.byteLength;
        if (bytes === HELD) break;
      }
    }
    const calls = await countFragmentCalls(async () => {
      for (const batch of batches) batch.release();
      // To the end of this turn of the loop, and beyond.
      for (let turn = 0; turn < 3; turn++) await setImmediate();
    });
    expect(calls).toEqual({ told: 0, dontneed: 0, flush: 1 });
    for (const socket of sockets) await socket.close();
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });
});
