/** What happens to a stream when the interface, the binding or its process changes under it. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import {
  type Binding,
  createServer,
  type DeviceFragment,
  DmaBuf,
  type DevmemSocket,
} from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import {
  ADDRESS,
  INTERFACE,
  run,
  setInterfaceUp,
  setHeaderSplit,
  setParameter,
  steerToQueues,
} from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { patternReader, type Received, receiveStreams, startSender } from './support/transfer.js';
import { bindingIsRing, bindRx, READS_BY } from './support/transport.js';

const MiB = 2 ** 20;
const VICTIM = fileURLToPath(new URL('support/victim.mjs', import.meta.url));
const RESETTER = fileURLToPath(new URL('support/resetter.mjs', import.meta.url));

let memory: DmaBuf;
let binding: Binding;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  const restoreSteering = steerToQueues(1, 1);
  return restoreSteering;
});

beforeEach(async () => {
  binding = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
  return () => binding.close();
});

afterAll(() => memory.close());

/** Receives a stream, and does something once when so many of its bytes have come. */
async function receiveWith(
  bytes: number,
  when: number,
  action: (socket: DevmemSocket) => unknown,
): Promise<Received> {
  let outcome: Promise<Received> | undefined;
  await using server = createServer({ binding }, async (socket) => {
    let done = false;
    outcome = patternReader(socket, async (position) => {
      if (done || position < when) return;
      done = true;
      await action(socket);
    });
    await outcome;
  });
  const { port } = await server.listen({ host: ADDRESS.IPv4 });
  const sender = startSender(ADDRESS.IPv4, port, bytes);
  await once(sender, 'exit');
  if (outcome === undefined) throw new Error('the sender never connected');
  return await outcome;
}

function expectWhole(received: Received, bytes: number): void {
  expect(received.firstWrong).toBe(-1);
  expect(received.bytes).toBe(bytes);
  expect(received.stats.heldFragments).toBe(0);
  expect(received.stats.tokensMissed).toBe(0);
}

describe('a stream', () => {
  const bytes = 48 * MiB;

  // By io_uring it ends: test/lab/zcrx.
  it.skipIf(bindingIsRing)(
    'goes on as linear data when the binding is closed under it',
    async () => {
      const received = await receiveWith(bytes, 8 * MiB, () => binding.close());
      expectWhole(received, bytes);
      expect(received.stats.deviceBytes).toBeGreaterThanOrEqual(8 * MiB);
      expect(received.stats.linearBytes).toBeGreaterThan(0);
    },
  );

  it('outlives the interface going down and up, still into the dma-buf', async () => {
    const received = await receiveWith(bytes, 8 * MiB, () => {
      run('ip', 'link', 'set', INTERFACE, 'down');
      setInterfaceUp();
    });
    expectWhole(received, bytes);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });

  it('outlives a restart of its queues', async () => {
    const received = await receiveWith(bytes, 8 * MiB, () => {
      run('ethtool', '-G', INTERFACE, 'rx', '256');
      run('ethtool', '-G', INTERFACE, 'rx', '512');
    });
    expectWhole(received, bytes);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });

  it('moves between bound and unbound queues and keeps its order', async () => {
    let moves = 0;
    const received = await receiveWith(bytes, 4 * MiB, () => {
      for (const queue of ['0', '1', '0', '1']) {
        run('ethtool', '-X', INTERFACE, 'start', queue, 'equal', '1');
        moves++;
      }
    });
    expect(moves).toBe(4);
    expectWhole(received, bytes);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });

  it('of fragments that share pages is received byte-exact', async () => {
    const restore = setParameter('frag_size', 1024);
    try {
      const [received] = await receiveStreams(binding, 'IPv4', 16 * MiB);
      expectWhole(received!, 16 * MiB);
      expect(received!.stats.fragments).toBeGreaterThanOrEqual((16 * MiB) / 1024);
      expect(await poolsLeftAfterClose(binding)).toBe(0);
    } finally {
      restore();
    }
  });
});

it('keeps header split on for as long as a binding needs it', async () => {
  await expect(setHeaderSplit(false)).rejects.toMatchObject({ syscall: 'ethtool rings-set' });
});

it('receives on two bindings of different queues at once', async () => {
  await using otherMemory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  await using other = await bindRx({
    interface: INTERFACE,
    queues: [2],
    memory: otherMemory,
    mode: 'devmem',
  });
  expect(other.id).not.toBe(binding.id);
  const bytes = 16 * MiB;
  const rule = run(
    'ethtool',
    '-N',
    INTERFACE,
    'flow-type',
    'tcp4',
    'dst-port',
    '5302',
    'action',
    '2',
  );
  const location = /ID (\d+)/.exec(rule)![1]!;
  try {
    const [first, second] = await Promise.all([
      receiveStreams(binding, 'IPv4', bytes),
      receiveStreams(other, 'IPv4', bytes, 1, 5302),
    ]);
    expectWhole(first[0]!, bytes);
    expectWhole(second[0]!, bytes);
    expect(second[0]!.stats.deviceBytes).toBe(bytes);
  } finally {
    run('ethtool', '-N', INTERFACE, 'delete', location);
  }
  expect(await poolsLeftAfterClose(other)).toBe(0);
});

describe('a receiver', () => {
  it('killed in mid-stream leaves its queue to the next one', async () => {
    await binding.close();
    const victim = fork(VICTIM);
    const [{ port }] = (await once(victim, 'message')) as [{ port: number }];
    const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
    await once(victim, 'message');
    victim.kill('SIGKILL');
    await Promise.all([once(victim, 'exit'), once(sender, 'exit')]);

    await using next = await bindRx({ interface: INTERFACE, queues: [1], memory, mode: 'devmem' });
    const [received] = await receiveStreams(next, 'IPv4', 16 * MiB);
    expectWhole(received!, 16 * MiB);
    expect(await poolsLeftAfterClose(next)).toBe(0);
  });

  it('reset with fragments held gets the error once, and keeps what it holds', async () => {
    const held: DeviceFragment[] = [];
    const failures: unknown[] = [];
    await using server = createServer({ binding }, async (socket) => {
      for await (const fragment of socket) if (fragment.kind === 'device') held.push(fragment);
    });
    server.on('socketError', (error) => failures.push(error));
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    const failed = once(server, 'socketError');
    const resetter = spawn('peer', [process.execPath, RESETTER, ADDRESS.IPv4, String(port)]);
    await Promise.all([failed, once(resetter, 'exit')]);
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ code: 'ECONNRESET', syscall: READS_BY });
    expect(held.length).toBeGreaterThan(0);
    for (const { offset, size } of held) {
      expect(memory.read(offset, size).every((byte) => byte === 7)).toBe(true);
    }
    for (const fragment of held) fragment.release();
    expect(binding.heldBytes).toBe(0);
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  });
});
