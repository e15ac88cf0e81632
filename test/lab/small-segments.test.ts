/**
 * A peer whose segments are of one byte: each takes a piece of the memory, by far more than
 * it brings. How much of the memory it can have, what that does to another stream on the
 * same queue, and which counters tell.
 */
import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fileURLToPath } from 'node:url';

import {
  type Batch,
  type Binding,
  createServer,
  type DevmemSocket,
  DmaBuf,
  type DevmemServer,
  type StallMessage,
} from 'devmem-tcp';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';

import { allocationFailures, peerTimeouts, receiveQueue, tcpCounters } from './support/counters.js';
import { ADDRESS, INTERFACE, setParameter, statistic, steerToQueues } from './support/guest.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { patternReader, type Received, startSender } from './support/transfer.js';
import { bindRx } from './support/transport.js';

const MiB = 2 ** 20;
const PAGE = 4096;
const QUEUE = 1;
const HOST = ADDRESS.IPv4;
const MEMORY_BYTES = 8 * MiB;
/** Of the other stream. */
const BYTES = 4 * MiB;
/** Milliseconds to wait for something to be counted. */
const PATIENCE = { timeout: 60_000 };

const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));
// As peers.py has them: MESSAGE, SINGLE_BYTES.
const SINGLE_BYTES = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 251));

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

let memory: DmaBuf;
let binding: Binding;

beforeAll(() => steerToQueues(QUEUE, 1));

beforeEach(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: MEMORY_BYTES });
  return () => memory.close();
});

async function bind(heldLimit?: number): Promise<void> {
  const limit = heldLimit === undefined ? {} : { heldLimit };
  const queues = [QUEUE];
  binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem', ...limit });
  undo.push(() => binding.close());
}

/** Starts a peer of peers.py. */
function startPeer(kind: string, port: number): void {
  const args = ['python3', PEERS, kind, HOST, String(port)];
  const peer = spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  undo.push(() => peer.kill('SIGKILL'));
}

/** All that comes until the stream's end; each batch is for `keep` to release. */
async function bytesOf(socket: DevmemSocket, keep: (batch: Batch) => void): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const batch of socket.batches()) {
    memory.cpuAccess(() => {
      batch.forEach(
        (offset, size) => pieces.push(Buffer.from(memory.map().subarray(offset, offset + size))),
        (bytes) => pieces.push(Buffer.from(bytes)),
      );
    });
    keep(batch);
  }
  return Buffer.concat(pieces);
}

const release = (batch: Batch): void => batch.release();

/** Reads for as long as the peer lasts. */
async function drain(socket: DevmemSocket): Promise<void> {
  try {
    for await (const batch of socket.batches()) batch.release();
  } catch {
    // The peer went away in mid-stream, or the socket was destroyed with the server.
  }
}

/** A server, and its connections in the order in which they came. */
class Connections implements AsyncDisposable {
  readonly #server: DevmemServer;
  readonly #arrived: DevmemSocket[] = [];
  #waiting: (() => void) | undefined;

  constructor() {
    this.#server = createServer({ binding }, async (socket) => {
      this.#arrived.push(socket);
      this.#waiting?.();
      await new Promise((resolve) => socket.once('close', resolve));
    });
  }

  async listen(): Promise<number> {
    return (await this.#server.listen({ host: HOST, port: 0 })).port;
  }

  async next(): Promise<DevmemSocket> {
    while (this.#arrived.length === 0) {
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
    return this.#arrived.shift()!;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server.close();
  }
}

/** Another stream, from its sender's start. */
async function startStream(
  connections: Connections,
  port: number,
): Promise<{ peerPort: number; outcome: Promise<Received> }> {
  const sender = startSender(HOST, port, BYTES);
  undo.push(() => sender.kill('SIGKILL'));
  const socket = await connections.next();
  return { peerPort: socket.remotePort!, outcome: patternReader(socket) };
}

function expectWhole(received: Received): void {
  expect(received).toMatchObject({ firstWrong: -1, bytes: BYTES });
  expect(received.stats.deviceBytes).toBe(BYTES);
}

/** What is counted where a NIC finds no memory for a packet. */
async function shortages(): Promise<{ nic: number; queue: number | undefined }> {
  return { nic: statistic('rx_pool_empty'), queue: await allocationFailures(QUEUE) };
}

/** Bytes that TCP gave up because nobody reads those before them. */
const refused = (): number => tcpCounters('TCPRcvQDrop', 'TCPZeroWindowDrop');

it('takes a page for each byte that nobody reads, up to its own receive buffer alone', async () => {
  await bind();
  const shortagesBefore = await shortages();
  const refusedBefore = refused();
  {
    await using connections = new Connections();
    const port = await connections.listen();
    startPeer('single_bytes', port);
    const small = await connections.next();
    await expect.poll(refused, PATIENCE).toBeGreaterThan(refusedBefore);

    const { unread, charged, limit } = receiveQueue(small.remotePort!);
    expect(charged).toBeGreaterThanOrEqual(unread * PAGE);
    expect(unread * PAGE).toBeLessThanOrEqual(limit + PAGE);
    expect(limit).toBeLessThan(MEMORY_BYTES / 2);
    expect(binding.heldBytes).toBe(0);

    const stream = await startStream(connections, port);
    expectWhole(await stream.outcome);
    expect(await shortages()).toEqual(shortagesBefore);
    expect((await bytesOf(small, release)).equals(SINGLE_BYTES)).toBe(true);
  }
  expect(await poolsLeftAfterClose(binding)).toBe(0);
});

it('holds a page for each byte that is not released, up to heldLimit', async () => {
  await bind();
  const shortagesBefore = await shortages();
  const held: Batch[] = [];
  const stalls: StallMessage[] = [];
  const onStall = (message: unknown): void => void stalls.push(message as StallMessage);
  subscribe('devmem-tcp:stall', onStall);
  undo.push(() => unsubscribe('devmem-tcp:stall', onStall));
  {
    await using connections = new Connections();
    const port = await connections.listen();
    startPeer('single_bytes', port);
    const small = await connections.next();
    let keep = (batch: Batch): void => void held.push(batch);
    const bytes = bytesOf(small, (batch) => {
      keep(batch);
    });
    await expect.poll(() => stalls.length, PATIENCE).toBe(1);
    expect(stalls[0]!.socket).toContain(String(small.remotePort));
    const { heldBytes, heldLimit } = binding;
    expect(stalls[0]).toMatchObject({ heldBytes, heldLimit });
    expect(heldBytes).toBe(small.stats.heldFragments * PAGE);
    expect(heldBytes).toBeGreaterThan(heldLimit / 2);
    expect(heldBytes).toBeLessThanOrEqual(heldLimit);

    const stream = await startStream(connections, port);
    expectWhole(await stream.outcome);
    expect(await shortages()).toEqual(shortagesBefore);

    keep = release;
    for (const batch of held) batch.release();
    expect((await bytes).equals(SINGLE_BYTES)).toBe(true);
  }
  expect(binding.heldBytes).toBe(0);
  expect(await poolsLeftAfterClose(binding)).toBe(0);
});

// TCP charges a socket for its piece, of 256 bytes here, and the page stays whole until the
// last piece of it is given back. What holds the other pieces is read and released at once.
const BY_READING = ['are read', (small: DevmemSocket) => bytesOf(small, release)] as const;
const BY_DESTROYING = [
  'are gone with their connection',
  (small: DevmemSocket) => {
    small.destroy();
    return Promise.resolve(SINGLE_BYTES);
  },
] as const;

it.each([BY_READING, BY_DESTROYING])(
  'starves another stream where a NIC puts several packets in a page, until its bytes %s',
  async (_, end) => {
    undo.push(setParameter('frag_size', 256));
    await bind(2 * MiB);
    const before = await shortages();
    let drained: Promise<void>;
    {
      await using connections = new Connections();
      const port = await connections.listen();
      startPeer('single_bytes_by_turns', port);
      drained = drain(await connections.next());
      const small = await connections.next();
      await expect.poll(async () => (await shortages()).nic, PATIENCE).toBeGreaterThan(before.nic);
      const { charged, limit } = receiveQueue(small.remotePort!);
      expect(charged).toBeLessThan(limit);
      expect(charged).toBeLessThan(MEMORY_BYTES / 4);

      const stream = await startStream(connections, port);
      await expect.poll(() => peerTimeouts(stream.peerPort), PATIENCE).toBeGreaterThan(2);
      const { queue } = await shortages();
      if (queue !== undefined) expect(queue).toBeGreaterThan(before.queue!);
      expect(binding.heldBytes).toBe(0);

      expect((await end(small)).equals(SINGLE_BYTES)).toBe(true);
      expectWhole(await stream.outcome);
    }
    await drained;
    expect(await poolsLeftAfterClose(binding)).toBe(0);
  },
);
