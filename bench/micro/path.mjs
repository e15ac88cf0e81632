// @ts-check
// What a fragment costs from the event loop's wake to its release, with the kernel's part
// done by a stand-in (kernel.c). Prints samples of ns per fragment as JSON.
//
//   LD_PRELOAD=…/kernel.so BENCH_BATCH=N BENCH_FRAGS=N node bench/micro/path.mjs ROUNDS
import { once } from 'node:events';
import net from 'node:net';
import { performance } from 'node:perf_hooks';

import { connect, DmaBuf } from '../../dist/index.js';
import { Binding } from '../../dist/receive/binding.js';
import { MemoryPool } from '../../dist/receive/pool.js';
import { cmsg } from '../../dist/receive/transports/cmsg.js';
import { alternate } from '../lib/alternate.mjs';

/** @typedef {import('../../dist/index.js').DevmemSocket} DevmemSocket */
/** @typedef {import('../../dist/index.js').Batch} Batch */
/** @typedef {import('../../dist/index.js').Fragment} Fragment */
/** What makes bindings, which the published types leave out.
 * @typedef {{ make(parts: object): import('../../dist/index.js').Binding }} BindingMaker */

const MiB = 2 ** 20;
const HOST = '127.0.0.1';
const WARM_UP = 3;
// Batches held before they are released: what half of a dma-buf has room for.
const HOARD = 8192;

const rounds = Number(process.argv[2]);
const fragments = Number(process.env.BENCH_FRAGS);

const memory = await DmaBuf.allocate({ type: 'host', size: 128 * MiB });
const InternalBinding = /** @type {BindingMaker} */ (/** @type {unknown} */ (Binding));
const binding = InternalBinding.make({
  transport: cmsg,
  pool: MemoryPool.reserve(memory),
  id: 1,
  interface: undefined,
  queues: [],
  heldLimit: 64 * MiB,
  stallWarningMs: Infinity,
  ringBytes: 0,
});

// One byte that nobody takes: the socket stays readable.
const server = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.write('.');
});
server.listen(0, HOST);
await once(server, 'listening');
const { port } = /** @type {net.AddressInfo} */ (server.address());

// In a typed array: each new value of a variable is a number on the heap.
const total = new Float64Array(1);

/** @param {DevmemSocket} socket */
async function readBatches(socket) {
  for await (const batch of socket.batches()) {
    batch.forEach((offset, size) => {
      total[0] = (total[0] ?? 0) + offset + size;
    });
    batch.release();
  }
}

/** @param {DevmemSocket} socket */
async function readFragments(socket) {
  for await (const fragment of socket) {
    total[0] = (total[0] ?? 0) + (fragment.offset ?? 0) + fragment.size;
    fragment.release();
  }
}

/** @param {(socket: DevmemSocket) => Promise<void>} read */
const whole = (read) => async () => {
  const socket = await connect({ binding, host: HOST, port });
  const before = performance.now();
  await read(socket);
  const milliseconds = performance.now() - before;
  await socket.close();
  return (milliseconds * 1e6) / fragments;
};

/**
 * Hoards leases and gives them back all at once, which alone is timed.
 * @template Lease
 * @param {(batch: Batch) => Iterable<Lease>} leases
 * @param {(held: Lease[]) => void} release
 */
const releasing = (leases, release) => async () => {
  const socket = await connect({ binding, host: HOST, port });
  let milliseconds = 0;
  /** @type {Lease[]} */
  let held = [];
  let count = 0;
  const flush = () => {
    const before = performance.now();
    release(held);
    milliseconds += performance.now() - before;
    held = [];
    count = 0;
  };
  for await (const batch of socket.batches()) {
    held.push(...leases(batch));
    count += batch.length;
    if (count >= HOARD) flush();
  }
  flush();
  await socket.close();
  return (milliseconds * 1e6) / fragments;
};

/** @param {Batch[]} batches */
function inOrder(batches) {
  for (const batch of batches) batch.release();
}

/**
 * In an order that has nothing of the stream's.
 * @param {Fragment[]} held
 */
function shuffled(held) {
  // A prime, so that each has its turn.
  for (let i = 0; i < held.length; i++) held[(i * 7919) % held.length]?.release();
}

const samples = await (async () => {
  const contenders = {
    batches: whole(readBatches),
    fragments: whole(readFragments),
    release: releasing((batch) => [batch], inOrder),
    releaseShuffled: releasing((batch) => batch, shuffled),
  };
  await alternate(contenders, WARM_UP);
  return alternate(contenders, rounds);
})();
if (!((total[0] ?? 0) > 0)) throw new Error('nothing was consumed');
await binding.close();
await memory.close();
server.close();
process.stdout.write(`${JSON.stringify(samples)}\n`);
