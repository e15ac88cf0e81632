/** What a NIC, a program and a crowd of packets do to receiving by io_uring that they should not. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { release } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type Binding, bindRx, createServer, DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { ADDRESS, INTERFACE, setParameter, steerPort, steerToQueues } from './support/guest.js';
import { poolsLeft } from './support/page-pools.js';
import { patternReader, type Received, receiveStreams, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));
const LEAVING = fileURLToPath(new URL('support/leaving.mjs', import.meta.url));

describe.skipIf(Number(release().split('.')[0]) < 7)('io_uring zero-copy receive', () => {
  let memory: DmaBuf;

  const bind = (queue = 1, of = memory): Promise<Binding> =>
    bindRx({
      interface: INTERFACE,
      queues: [queue],
      memory: of,
      mode: 'devmem',
      transport: 'zcrx',
    });

  beforeAll(async () => {
    memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    const restoreSteering = steerToQueues(1, 1);
    return restoreSteering;
  });

  afterAll(() => memory.close());

  /** The queue can be taken at once, and no page pool is left. */
  async function expectNothingLeft(): Promise<void> {
    const again = await bind();
    await again.close();
    expect(await poolsLeft()).toBe(0);
  }

  function expectWhole(received: Received | undefined, bytes: number): void {
    expect(received).toMatchObject({ bytes, firstWrong: -1 });
    const { stats } = received!;
    expect(stats.deviceBytes + stats.linearBytes).toBe(bytes);
    expect(stats).toMatchObject({ heldFragments: 0, copiedBytes: 0 });
    expect(stats.tokensReturned).toBe(stats.tokensTaken);
  }

  // Of 256 bytes a fragment, a request of 1 MiB takes four times as many completions as the
  // queue has room for. That they do overflow it is host/zcrx-ring's to bring about.
  it('receives whole what has more fragments than its completion queue has room for', async () => {
    const bytes = 4 * MiB;
    const restore = setParameter('frag_size', 256);
    try {
      await using binding = await bind();
      const [received] = await receiveStreams(binding, 'IPv4', bytes);
      expectWhole(received, bytes);
      expect(received!.stats.fragments).toBeGreaterThanOrEqual(bytes / 256);
    } finally {
      restore();
    }
    await expectNothingLeft();
  });

  it('has what comes by an unbound queue alone as linear data', async () => {
    const binding = await bind();
    const back = steerToQueues(0, 1);
    try {
      const [received] = await receiveStreams(binding, 'IPv4', 4 * MiB);
      expectWhole(received, 4 * MiB);
      expect(received!.stats).toMatchObject({ deviceBytes: 0, linearBytes: 4 * MiB });
    } finally {
      back();
      steerToQueues(1, 1);
    }
    await binding.close();
    await expectNothingLeft();
  });

  it('ends in words a connection that is moved to another binding’s queue', async () => {
    await using other = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    await using binding = await bind();
    await using second = await bind(2, other);
    let outcome: Promise<unknown> | undefined;
    let move = (): void => {};
    let restore = (): void => {};
    await using server = createServer({ binding }, async (socket) => {
      let moved = false;
      outcome = patternReader(socket, (position) => {
        if (!moved && position > MiB) move();
        moved ||= position > MiB;
        return Promise.resolve();
      }).then(
        () => undefined,
        (error: unknown) => error,
      );
      await outcome;
    });
    const { port } = await server.listen({ host: ADDRESS.IPv4 });
    move = () => (restore = steerPort(port, 2));
    const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
    await once(sender, 'exit');
    restore();
    const error = (await outcome) as Error;
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_BAD_RECORD' });
    expect(error.message).toContain('steer all of them to its own');
    expect([binding.heldBytes, second.heldBytes]).toEqual([0, 0]);
    // Neither is worse off: both receive on.
    for (const [each, queue] of [
      [binding, 1],
      [second, 2],
    ] as const) {
      steerToQueues(queue, 1);
      const [received] = await receiveStreams(each, 'IPv4', MiB);
      expectWhole(received, MiB);
    }
    steerToQueues(1, 1);
    await Promise.all([binding.close(), second.close()]);
    await expectNothingLeft();
  });

  // What goes back meanwhile is made ready for the NIC again by whoever returns it. DMA_API_DEBUG
  // of the debug kernels would tell if that were done to what is unmapped by then.
  it('is given up in mid-receive, and taken, again and again', async () => {
    const peers: ChildProcess[] = [];
    const gone: Promise<unknown>[] = [];
    let port = 0;
    try {
      for (let round = 0; round < 10; round++) {
        await using binding = await bind();
        let received = 0;
        let connections = 0;
        await using server = createServer({ binding }, async (socket) => {
          connections++;
          for await (using batch of socket.batches()) received += batch.byteLength;
        });
        server.on('socketError', () => {});
        ({ port } = await server.listen({ host: ADDRESS.IPv4, port }));
        while (peers.length < 3) {
          const args = ['python3', PEERS, 'again', ADDRESS.IPv4, String(port)];
          const peer = spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
          peers.push(peer);
          gone.push(once(peer, 'exit'));
        }
        while (connections < peers.length || received < MiB) await setTimeout(5);
        await Promise.all([binding.close(), server.close()]);
      }
    } finally {
      for (const peer of peers) peer.kill('SIGKILL');
      await Promise.all(gone);
    }
    await expectNothingLeft();
  });

  it('gives the queue up although a program that was started meanwhile lives on', async () => {
    const binding = await bind();
    const started = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const exited = once(started, 'exit');
    try {
      await once(started, 'spawn');
      const [received] = await receiveStreams(binding, 'IPv4', MiB);
      expectWhole(received, MiB);
      await binding.close();
      await expectNothingLeft();
    } finally {
      started.kill('SIGKILL');
      await exited;
    }
  });

  it.for([
    ['exit', 7],
    ['end', 0],
  ] as const)('a process that leaves by its %s leaves nothing', async ([how, status]) => {
    const program = fork(LEAVING, [how]);
    const exit = once(program, 'exit');
    const [{ port }] = (await once(program, 'message')) as [{ port: number }];
    const sender = startSender(ADDRESS.IPv4, port, 1024 * MiB, 'ignore');
    const gone = once(sender, 'exit');
    expect(await exit).toEqual([status, null]);
    await gone;
    await expectNothingLeft();
  });
});
