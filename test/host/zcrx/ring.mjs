// @ts-check
/** For programs that run on an io_uring of the test's own (kernel.c): the ring, and its users. */
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

import { connect, DmaBuf } from '../../../dist/index.js';

import { native } from '../../../dist/native.js';
import { Binding } from '../../../dist/receive/binding.js';
import { MemoryPool } from '../../../dist/receive/pool.js';
import { ring as fragRing } from '../../../dist/receive/ring.js';
import { createCounters, sharedDoubles } from '../../../dist/receive/stats.js';
import { zcrx } from '../../../dist/receive/transports/zcrx.js';
import { makeConnection } from '../../support/connections.mjs';

/**
 * @typedef {import('../../../src/ts/native.js').Native} Native
 * @typedef {import('../../../src/ts/native.js').Receiver} Receiver
 * @typedef {import('../../../src/ts/native.js').ZcrxQueue} ZcrxQueue
 */
/** @typedef {{ opcode: number, request: number, fd: number, length: number, address: number }} Submission */

/**
 * @typedef {object} Kernel as kernel.c says
 * @property {(into: Float64Array) => number} submitted
 * @property {(request: number, result: number, flags: number, offset: number) => void} complete
 * @property {(errno: number, times: number) => void} refuse
 * @property {(into: Float64Array) => number} take
 * @property {(into: Float64Array) => number} flushed
 * @property {(errno: number) => void} refuseFlush
 */

export const MIB = 2 ** 20;
export const PAGE = 4096;
export const MORE = 2; // IORING_CQE_F_MORE
export const RECEIVE = 58; // IORING_OP_RECV_ZC
export const POLL = 6; // IORING_OP_POLL_ADD
export const CANCEL = 14; // IORING_OP_ASYNC_CANCEL
/** user_data of what tells that the memory ran dry (src/native/zcrx/ifq.h). */
export const DRY = 3;

export const addon = /** @type {Native} */ (/** @type {unknown} */ (native()));
const ignore = () => {};
const room = new Float64Array(8192);

const loaded = { exports: {} };
process.dlopen(loaded, process.env.LD_PRELOAD?.split(' ').at(-1) ?? '');
export const kernel = /** @type {Kernel} */ (loaded.exports);

/** What was submitted since the last time. @returns {Submission[]} */
export function submitted() {
  const count = kernel.submitted(room);
  return Array.from({ length: count / 5 }, (_, index) => {
    const [opcode = 0, request = 0, fd = 0, length = 0, address = 0] = room.subarray(5 * index);
    return { opcode, request, fd, length, address };
  });
}

/** Offsets given back since, in both ways. */
export function givenBack() {
  const taken = [...room.subarray(0, kernel.take(room))];
  return { taken, flushed: [...room.subarray(0, kernel.flushed(room))] };
}

/** The next request to receive. @returns {Promise<Submission>} */
export async function nextRequest() {
  for (;;) {
    const found = submitted().find(({ opcode }) => opcode === RECEIVE);
    if (found !== undefined) return found;
    await turn();
  }
}

/** @param {ZcrxQueue} queue */
function register(queue, size = 64 * MIB) {
  queue.open();
  return queue.register(0, 0, -1, size, 0, true);
}

/** A registered queue, and a pool that it fills. @param {() => void} [onMemoryDry] */
export function makeQueue(size = 64 * MIB, onMemoryDry = ignore) {
  const queue = new addon.ZcrxQueue(onMemoryDry);
  const status = register(queue, size);
  if (status !== 0) throw new Error(`register: ${status}`);
  return { queue, pool: makePool(queue, size) };
}

/** @param {ZcrxQueue} queue */
export function makePool(queue, size = 64 * MIB) {
  const readout = sharedDoubles(addon.layout.pool.length);
  return new addon.Pool(1, size, PAGE, size, readout, queue);
}

/**
 * A receiver of that pool, reading.
 *
 * @param {object} pool
 * @param {ConstructorParameters<Native['Receiver']>[2]} onBatch
 */
export async function makeReceiver(pool, onBatch) {
  fragRing();
  const { connection, peer, fd } = await makeConnection();
  const counters = createCounters();
  const receiver = new addon.Receiver(/** @type {any} */ (pool), counters, onBatch);
  const status = receiver.open(fd);
  if (status !== 0) throw new Error(`open: ${status}`);
  receiver.resume(true);
  return { receiver, connection, peer, counters };
}

/** A socket of the package's, on the ring; the other end; and what ends both. */
export async function makeSocket() {
  const memory = await DmaBuf.allocate({ type: 'host', size: 16 * MIB });
  const queue = new addon.ZcrxQueue(ignore);
  register(queue, memory.size);
  const Internal = /** @type {{ make(parts: object): import('devmem-tcp').Binding }} */ (
    /** @type {unknown} */ (Binding)
  );
  const binding = Internal.make({
    transport: zcrx,
    pool: MemoryPool.reserve(memory),
    id: 1000,
    queue,
    interface: undefined,
    queues: [0],
    heldLimit: memory.size / 2,
    stallWarningMs: Infinity,
    ringBytes: 0,
    kernel: {
      unbind() {
        queue.close();
      },
    },
  });
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const accepted = once(server, 'connection');
  const socket = await connect({ binding, host: '127.0.0.1', port });
  const [peer] = /** @type {[net.Socket]} */ (await accepted);
  server.close();
  peer.on('error', ignore);
  const close = async () => {
    socket.destroy();
    peer.destroy();
    await binding.close();
    await memory.close();
  };
  return { socket, peer, binding, memory, close };
}
