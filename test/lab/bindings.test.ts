/** One connection, several bindings: its packets reach queues of more than one. */
import { once } from 'node:events';

import {
  type Batch,
  type Binding,
  type Bindings,
  bindRx,
  createServer,
  DmaBuf,
  type DevmemSocket,
  type StallMessage,
} from 'devmem-tcp';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Recorder } from '../support/diagnostics.js';
import { ADDRESS, INTERFACE, steerPort, steerToQueues } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { patternReader, type Received, startSender } from './support/transfer.js';

const MiB = 2 ** 20;
const BYTES = 16 * MiB;
/** More than sockets and memories hold, so that the sender is at it after a pause of the reader. */
const LONG = 48 * MiB;
/** Traffic without a rule comes to the first binding's queue. */
const QUEUES = [1, 2] as const;

let memories: [DmaBuf, DmaBuf];
let first: Binding;
let bound: Binding[] = [];

async function bind(queue: number, memory: DmaBuf, heldLimit = memory.size / 2): Promise<Binding> {
  const options = { interface: INTERFACE, queues: [queue], memory, mode: 'devmem' } as const;
  const binding = await bindRx({ ...options, heldLimit });
  bound.push(binding);
  return binding;
}

beforeAll(async () => {
  const allocate = (): Promise<DmaBuf> => DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  memories = [await allocate(), await allocate()];
  return steerToQueues(QUEUES[0], 1);
});

beforeEach(async () => {
  bound = [];
  first = await bind(QUEUES[0], memories[0]);
  return () => Promise.all(bound.map((binding) => binding.close()));
});

afterAll(async () => {
  for (const memory of memories) await memory.close();
});

/**
 * Has the peer send the pattern to a server, and returns what its handler does.
 *
 * @param queue - that the connection's packets come to
 */
async function receive<T>(
  binding: Bindings,
  bytes: number,
  handler: (socket: DevmemSocket, port: number) => Promise<T>,
  queue: number = QUEUES[0],
): Promise<T> {
  let outcome: Promise<T> | undefined;
  let port = 0;
  await using server = createServer({ binding }, async (socket) => {
    outcome = handler(socket, port);
    await outcome;
  });
  server.on('socketError', () => {});
  ({ port } = await server.listen({ host: ADDRESS.IPv4 }));
  const goBack = queue === QUEUES[0] ? undefined : steerPort(port, queue);
  try {
    await once(startSender(ADDRESS.IPv4, port, bytes, 'ignore'), 'exit');
    if (outcome === undefined) throw new Error('the sender never connected');
    return await outcome;
  } finally {
    goBack?.();
  }
}

function expectWhole(received: Received, bytes: number): void {
  expect(received.firstWrong).toBe(-1);
  expect(received.bytes).toBe(bytes);
  const { stats } = received;
  expect(stats.tokensReturned).toBe(stats.tokensTaken);
  expect(stats.tokensMissed).toBe(0);
  expect(stats.heldFragments).toBe(0);
}

async function expectNothingLeft(...bindings: Binding[]): Promise<void> {
  for (const binding of bindings) {
    expect(binding.heldBytes).toBe(0);
    if (!binding.closed) expect(await poolsLeftAfterClose(binding)).toBe(0);
  }
}

describe('a connection that moves between queues of two bindings', () => {
  it('is one stream in both memories', async () => {
    const second = await bind(QUEUES[1], memories[1]);
    let moves = 0;
    const received = await receive([first, second], BYTES, async (socket, port) => {
      let goBack: (() => void) | undefined;
      const move = (): void => {
        moves++;
        if (goBack === undefined) {
          goBack = steerPort(port, QUEUES[1]);
        } else {
          goBack();
          goBack = undefined;
        }
      };
      const outcome = await patternReader(socket, (position) => {
        if (position >= (moves + 1) * (BYTES / 8)) move();
        return Promise.resolve();
      });
      if (goBack !== undefined) move();
      return outcome;
    });
    expect(moves).toBeGreaterThanOrEqual(4);
    expectWhole(received, BYTES);
    for (const { id } of [first, second]) {
      expect(received.bytesByBinding.get(id)).toBeGreaterThan(BYTES / 16);
    }
    await expectNothingLeft(first, second);
  });

  it("is read no further than either memory's limit", async () => {
    const limit = MiB / 4;
    const second = await bind(QUEUES[1], memories[1], limit);
    using stalls = new Recorder<StallMessage>('devmem-tcp:stall');
    const received = await receive(
      [first, second],
      BYTES / 4,
      async (socket) => {
        let bytes = 0;
        let most = 0;
        let held: Batch[] = [];
        const releaseAll = (): void => {
          for (const batch of held) batch.release();
          held = [];
        };
        const reading = (async () => {
          for await (const batch of socket.batches()) {
            bytes += batch.byteLength;
            most = Math.max(most, second.heldBytes);
            held.push(batch);
          }
        })();
        // Nothing is released but after a stall: later, when the loop has also taken what
        // was ready. By itself the stream could not go on.
        stalls.onMessage = () => setImmediate(releaseAll);
        await reading;
        releaseAll();
        return { bytes, most };
      },
      QUEUES[1],
    );
    expect(received.bytes).toBe(BYTES / 4);
    expect(received.most).toBeGreaterThan(limit / 2);
    expect(received.most).toBeLessThanOrEqual(limit);
    expect(stalls.messages.length).toBeGreaterThan(1);
    expect(new Set(stalls.messages.map(({ heldLimit }) => heldLimit))).toEqual(new Set([limit]));
    await expectNothingLeft(first, second);
  });

  it('fails in words where it does not know one of them, and holds nothing', async () => {
    const second = await bind(QUEUES[1], memories[1]);
    const error = await receive(first, BYTES, async (socket, port) => {
      let goBack: (() => void) | undefined;
      try {
        await patternReader(socket, () => {
          goBack ??= steerPort(port, QUEUES[1]);
          return Promise.resolve();
        });
        return undefined;
      } catch (reason) {
        return reason;
      } finally {
        goBack?.();
      }
    });
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_BAD_RECORD' });
    expect((error as Error).message).toContain('addBinding');
    await expectNothingLeft(first, second);
  });
});

it('a stream goes on in fresh memory when its queue is bound again under it', async () => {
  let second: Binding | undefined;
  const received = await receive(first, LONG, async (socket) => {
    const outcome = await patternReader(socket, async (position) => {
      if (second !== undefined || position < MiB) return;
      await first.close();
      second = await bind(QUEUES[0], memories[1]);
      socket.addBinding(second);
    });
    return outcome;
  });
  expectWhole(received, LONG);
  expect(received.bytesByBinding.get(first.id)).toBeGreaterThanOrEqual(MiB);
  expect(received.bytesByBinding.get(second!.id)).toBeGreaterThan(0);
  await expectNothingLeft(first, second!);
});

it('a server goes on when its queue is bound again, connections of before and later ones', async () => {
  const outcomes: Promise<Received>[] = [];
  let second: Binding | undefined;
  await using server = createServer({ binding: first }, async (socket) => {
    const outcome = patternReader(socket, async (position) => {
      if (second !== undefined || position < MiB) return;
      await first.close();
      second = await bind(QUEUES[0], memories[1]);
      server.addBinding(second);
    });
    outcomes.push(outcome);
    await outcome;
  });
  const { port } = await server.listen({ host: ADDRESS.IPv4 });
  for (let connection = 0; connection < 2; connection++) {
    await once(startSender(ADDRESS.IPv4, port, LONG), 'exit');
  }
  const received = await Promise.all(outcomes);
  expect(received).toHaveLength(2);
  for (const each of received) expectWhole(each, LONG);
  expect(received[1]!.bytesByBinding).toEqual(new Map([[second!.id, LONG]]));
  await expectNothingLeft(first, second!);
});
