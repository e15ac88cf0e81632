// @ts-check
/** For programs that run on a kernel of the test's own (kernel.c): its queue, and users of it. */
import { native } from '../../../dist/native.js';
import { ring as fragRing } from '../../../dist/receive/ring.js';
import { createCounters, sharedDoubles } from '../../../dist/receive/stats.js';
import { makeConnection, turns } from '../../support/connections.mjs';

/**
 * @typedef {import('../../../src/ts/native.js').Native} Native
 * @typedef {import('../../../src/ts/native.js').TokenQueue} TokenQueue
 */

/**
 * @typedef {object} Kernel as kernel.c says
 * @property {(socket: number, count: number, size: number) => void} deliver
 * @property {(call: number, errno: number, times: number) => void} refuse
 * @property {(word: number, value: number) => void} scribble
 * @property {(what: number, value: number) => void} falsify
 * @property {(into: Float64Array) => void} state
 * @property {(socket: number) => number} held
 */

export const MIB = 2 ** 20;
export const PAGE = 4096;
/** Pages that fragments lie in. */
export const MEMORY = 16384 * PAGE;
/** Calls that can be refused. */
export const CREATE = 0;
export const ATTACH = 1;
export const FLUSH = 2;
/** Words of the mapping. */
export const PRODUCER = 16;
export const CONSUMER = 32;
export const FRAGMENT_PRODUCER = 48;

export const addon = /** @type {Native} */ (/** @type {unknown} */ (native()));

const loaded = { exports: {} };
process.dlopen(loaded, process.env.LD_PRELOAD?.split(' ').at(-1) ?? '');
export const kernel = /** @type {Kernel} */ (loaded.exports);

const room = new Float64Array(16);

/** What the kernel counted. */
export function state() {
  kernel.state(room);
  const [flushes = 0, dontneeds = 0, returned = 0, invalid = 0, unknown = 0] = room;
  const [reads = 0, attached = 0, records = 0] = room.subarray(5);
  return { flushes, dontneeds, returned, invalid, unknown, reads, attached, records };
}

/** A queue, and a pool whose sockets use it. */
export function makeQueue(size = MEMORY) {
  const queue = new addon.TokenQueue();
  const status = queue.open();
  if (status !== 0) throw new Error(`open: ${status}`);
  return { queue, pool: makePool(queue, size) };
}

/** @param {TokenQueue} queue */
export function makePool(queue, size = MEMORY) {
  const readout = sharedDoubles(addon.layout.pool.length);
  return new addon.Pool(1, size, PAGE, size, readout, queue);
}

let sockets = 0;

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
  const number = receiver.queued ? sockets++ : -1;
  const deliver = (/** @type {number} */ count, size = PAGE) => {
    kernel.deliver(number, count, size);
    peer.write('.');
  };
  const close = () => {
    receiver.close();
    connection.destroy();
    peer.destroy();
  };
  return { receiver, number, deliver, close, connection, peer, counters };
}

/** A receiver that keeps what comes, by number. @param {object} pool */
export async function makeHoarder(pool) {
  /** @type {number[]} */
  const kept = [];
  /** @type {number[]} */
  const errors = [];
  const made = await makeReceiver(pool, (first, count, _flags, error = 0) => {
    for (let i = 0; i < count; i++) kept.push(first + i);
    if (error === 0) made.receiver.resume(true);
    else errors.push(error);
  });
  return { ...made, kept, errors };
}

/** Turns of the loop until it is so. @param {() => boolean} holds */
export async function until(holds) {
  while (!holds()) await turns(1);
}
