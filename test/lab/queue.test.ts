/**
 * Receiving by the transport `queue`: what is particular to it. The tests that are for any
 * transport run by it with DEVMEM_TRANSPORT=queue.
 */
import { setImmediate } from 'node:timers/promises';

import {
  type Batch,
  type Binding,
  bindRx,
  connect,
  type DevmemSocket,
  DmaBuf,
  type SocketStats,
} from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { INTERFACE, sendSegments, steerToQueues } from './support/guest.js';
import { hasTokenQueue } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { endReceived, setReceiveBuffers } from './support/receive-buffers.js';
import { countReturnCalls, hasStrace } from './support/system-calls.js';
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

  it.runIf(hasStrace).each([false, true])(
    'no system call gives back what is read without a pause (small fragments: %s)',
    async (segments) => {
      const restore = setReceiveBuffers(64 * MiB);
      sendSegments(segments);
      try {
        await using binding = await bind('queue');
        const socket = await waitingStream(binding, BYTES, PORT);
        expect(socket.transport).toBe('queue');
        let received: Received | undefined;
        let stats: SocketStats | undefined;
        const calls = await countReturnCalls(async () => {
          received = await patternReader(socket, () => {
            stats = socket.stats;
            return Promise.resolve();
          });
        });
        expect(received).toMatchObject({ bytes: BYTES, firstWrong: -1 });
        expect(stats?.returnCalls).toBe(0);
        expect(calls.dontneed).toBe(0);
        // What the last read left in the ring, once nothing more comes.
        expect(calls.flush).toBeLessThanOrEqual(1);
        expect(await poolsLeftAfterClose(binding)).toBe(0);
      } finally {
        sendSegments(false);
        restore();
      }
    },
  );

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
    const calls = await countReturnCalls(async () => {
      for (const batch of batches) batch.release();
      // To the end of this turn of the loop, and beyond.
      for (let turn = 0; turn < 3; turn++) await setImmediate();
    });
    expect(calls).toEqual({ dontneed: 0, flush: 1 });
    for (const socket of sockets) await socket.close();
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });
});
