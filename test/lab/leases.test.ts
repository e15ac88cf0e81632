/** Held fragments: theirs is the memory until they are released, whatever happens around them. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';

import { type Batch, type Binding, createServer, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';

import { Pattern } from '../../dist/cli/transfer/pattern.js';
import { ownDescriptors } from '../support/inherited.js';
import { ADDRESS, INTERFACE, statistic, steerToQueues } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { startSender } from './support/transfer.js';
import { bindRx } from './support/transport.js';

const MiB = 2 ** 20;

let memory: DmaBuf;
let binding: Binding;

// Small: the kernel's allocator for a udmabuf takes time in proportion to its pages
// once more is held than a page pool keeps for reuse.
beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
});

beforeEach(async () => {
  const restoreSteering = steerToQueues(1, 1);
  binding = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
  return async () => {
    await binding.close();
    restoreSteering();
  };
});

afterAll(() => memory.close());

/** Receives a stream of `bytes`, batch by batch. */
async function receive(bytes: number, onBatch: (batch: Batch) => void): Promise<void> {
  const done = new EventEmitter();
  await using server = createServer({ binding }, async (socket) => {
    for await (const batch of socket.batches()) onBatch(batch);
    done.emit('done');
  });
  const { port } = await server.listen({ host: ADDRESS.IPv4 });
  const sender = startSender(ADDRESS.IPv4, port, bytes);
  await Promise.all([once(done, 'done'), once(sender, 'exit')]);
}

function expectPattern(batches: Batch[]): void {
  const pattern = new Pattern(1);
  let position = 0;
  memory.cpuAccess(() => {
    for (const batch of batches) {
      batch.forEach((offset, size) => {
        expect(pattern.mismatch(position, memory.map().subarray(offset, offset + size))).toBe(-1);
        position += size;
      });
    }
  });
}

// A MiB: a small fragment keeps a whole page, and what is held must stay below the limit.
it('keeps what is held intact after the connection, and the binding, are gone', async () => {
  const held: Batch[] = [];
  await receive(MiB, (batch) => held.push(batch));
  expect(binding.heldBytes).toBeGreaterThanOrEqual(MiB);
  await binding.close();
  expectPattern(held);
  for (const batch of held) batch.release();
  expect(binding.heldBytes).toBe(0);
});

it('frees the page pools only once the last fragment is released', async () => {
  const held: Batch[] = [];
  await receive(MiB, (batch) => held.push(batch));
  const last = held.at(-1)!.fragment(held.at(-1)!.length - 1);
  for (const batch of held) {
    for (const fragment of batch) if (fragment.offset !== last.offset) fragment.release();
  }
  expect(last.size).toBeGreaterThan(0);
  expect(binding.heldBytes).toBeGreaterThan(0);
  last.release();
  expect(binding.heldBytes).toBe(0);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
});

it('holds the sender back while nothing is released, with no drop in the NIC', async () => {
  const bytes = 32 * MiB;
  const held: Batch[] = [];
  let received = 0;
  let stalls = 0;
  // Everything is kept until reading has stopped for it.
  const onStall = (): void => {
    stalls++;
    expect(binding.heldBytes).toBeGreaterThan(binding.heldLimit / 2);
    expect(binding.heldBytes).toBeLessThanOrEqual(binding.heldLimit);
    // Later, when the loop has also taken what was ready.
    setImmediate(() => {
      for (const batch of held.splice(0)) batch.release();
    });
  };
  const dropsBefore = statistic('rx_pool_empty');
  subscribe('devmem-tcp:stall', onStall);
  try {
    await receive(bytes, (batch) => {
      received += batch.byteLength;
      held.push(batch);
    });
  } finally {
    unsubscribe('devmem-tcp:stall', onStall);
  }
  for (const batch of held) batch.release();
  expect(received).toBe(bytes);
  expect(stalls).toBeGreaterThan(1);
  expect(statistic('rx_pool_empty')).toBe(dropsBefore);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
});

it('comes into memory that was closed as soon as it was bound, and can be read there', async () => {
  const ofMemory = (): number =>
    ownDescriptors().filter(({ target }) => /dmabuf|memfd/.test(target)).length;
  await binding.close();
  const before = ofMemory();
  const unheld = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  expect(ofMemory()).toBe(before + 2);
  binding = await bindRx({ interface: INTERFACE, queues: [1], memory: unheld, mode: 'devmem' });
  await unheld.close();
  // What is held of it is to be read.
  expect(ofMemory()).toBe(before + 2);

  const pattern = new Pattern(1);
  let position = 0;
  let wrong = 0;
  await receive(4 * MiB, (batch) => {
    batch.forEach((_offset, size, _id, index) => {
      if (pattern.mismatch(position, batch.view(index)) !== -1) wrong++;
      position += size;
    });
    batch.release();
  });
  expect({ position, wrong }).toEqual({ position: 4 * MiB, wrong: 0 });
  expect(await poolsLeftAfterClose(binding)).toBe(0);
  expect(ofMemory()).toBe(before);
});
