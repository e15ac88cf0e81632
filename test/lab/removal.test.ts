/**
 * The NIC is taken away, driver and all, from under bound memory and held fragments;
 * and is put back.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { type Batch, type Binding, createServer, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Pattern } from '../../dist/cli/transfer/pattern.js';
import { becomes } from './support/bound.js';
import { ADDRESS, INTERFACE, run, steerToQueues } from './support/guest.js';
import { poolsLeft, poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams, startSender } from './support/transfer.js';
import { bindRx } from './support/transport.js';

const MiB = 2 ** 20;
const VICTIM = fileURLToPath(new URL('support/victim.mjs', import.meta.url));

let memory: DmaBuf;
let binding: Binding;

const bind = (): Promise<Binding> =>
  bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
});

beforeEach(async () => {
  steerToQueues(1, 1);
  binding = await bind();
  return () => binding.close();
});

afterAll(() => memory.close());

/** Takes the NIC away; resolves once the binding knows. */
async function removeNic(): Promise<void> {
  const gone = becomes(binding, 'gone');
  run('rmmod', 'devmemsim');
  expect(await gone).toMatchObject({ interface: INTERFACE, carrier: false });
}

/** Receives a stream by the NIC, into the same memory as before. */
async function expectStream(): Promise<void> {
  steerToQueues(1, 1);
  await using next = await bind();
  const [received] = await receiveStreams(next, 'IPv4', 4 * MiB);
  expect(received).toMatchObject({ firstWrong: -1, bytes: 4 * MiB });
  expect(received!.stats.deviceBytes).toBe(4 * MiB);
  expect(await poolsLeftAfterClose(next)).toBe(0);
}

async function expectNewBeginning(): Promise<void> {
  run('lab-nic');
  await expectStream();
}

/** Takes the NIC away in mid-stream; returns what of the stream is held then. */
async function removeInMidStream(): Promise<Batch[]> {
  const held: Batch[] = [];
  await using server = createServer({ binding }, async (socket) => {
    for await (const batch of socket.batches()) {
      held.push(batch);
      if (binding.heldBytes >= MiB) break;
    }
    await removeNic();
    server.emit('removed');
  });
  const removed = once(server, 'removed');
  const { port } = await server.listen({ host: ADDRESS.IPv4 });
  const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
  await removed;
  sender.kill('SIGKILL');
  return held;
}

function expectIntact(held: readonly Batch[]): void {
  const pattern = new Pattern(1);
  let position = 0;
  memory.cpuAccess(() => {
    for (const batch of held) {
      batch.forEach((offset, size) => {
        expect(pattern.mismatch(position, memory.map().subarray(offset, offset + size))).toBe(-1);
        position += size;
      });
    }
  });
  expect(position).toBeGreaterThan(0);
}

function releaseAll(held: readonly Batch[]): void {
  for (const batch of held) batch.release();
  expect(binding.heldBytes).toBe(0);
}

describe('a NIC that is taken away and put back', () => {
  it('leaves nothing of a binding, and no trace in the next one', async () => {
    await removeNic();
    expect(await binding.rxQueues()).toEqual([]);
    await binding.close();
    expect(await poolsLeft(binding.id)).toBe(0);
    await expectNewBeginning();
  });

  it('leaves fragments intact that are held, until they are released', async () => {
    const held = await removeInMidStream();
    expectIntact(held);
    releaseAll(held);
    await binding.close();
    expect(await poolsLeft(binding.id)).toBe(0);
    await expectNewBeginning();
  });

  it('leaves them so when their binding is closed, and when the NIC is back', async () => {
    const held = await removeInMidStream();
    await binding.close();
    run('lab-nic');
    expectIntact(held);
    releaseAll(held);
    expect(await poolsLeft(binding.id)).toBe(0);
    await expectStream();
  });

  it('leaves what a killed process held to the kernel', async () => {
    // Fragments go back with their connection, for whose end nobody is there to ask.
    run('sysctl', '-q', 'net.ipv4.tcp_orphan_retries=1');
    await binding.close();
    const victim = fork(VICTIM);
    const [{ port }] = (await once(victim, 'message')) as [{ port: number }];
    const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
    await once(victim, 'message');
    run('rmmod', 'devmemsim');
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    sender.kill('SIGKILL');
    expect(await poolsLeft()).toBe(0);
    run('sysctl', '-q', 'net.ipv4.tcp_orphan_retries=0');
    await expectNewBeginning();
  });
});
