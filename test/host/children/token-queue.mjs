// @ts-check
// A token queue on a kernel of the test's own; prints what became of it.
//
//   LD_PRELOAD=… token-queue.mjs SCENARIO [ARGUMENT]…
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import {
  addon,
  ATTACH,
  CONSUMER,
  CREATE,
  FLUSH,
  kernel,
  makeHoarder,
  makeQueue,
  makeReceiver,
  MIB,
  PAGE,
  state,
  until,
} from '../queue/queue.mjs';
import { turns } from '../../support/connections.mjs';
import { generator } from '../../support/generator.mjs';
import { checkTokenQueue } from '../../../dist/nic/queue/thread-queue.js';
import { readStats } from '../../../dist/receive/stats.js';

const EISCONN = 106;

// Each batch goes back in the call that tells of it, and there is always more to read.
async function steady() {
  const { pool } = makeQueue();
  let bytes = 0;
  const socket = await makeReceiver(pool, (first, count) => {
    bytes += count * PAGE;
    socket.receiver.releaseRange(first, count);
    socket.receiver.resume(true);
  });
  const { flushes: before } = state();
  const fragments = 50_000;
  socket.deliver(fragments);
  await until(() => bytes === fragments * PAGE);
  const { flushes, dontneeds, records } = state();
  const { returnCalls } = readStats(socket.counters);
  await until(() => kernel.held(0) === 0);
  socket.close();
  return {
    flushes: flushes - before,
    dontneeds,
    records,
    returnCalls,
    left: kernel.held(0),
    unknown: state().unknown,
  };
}

// Of several sockets, long after any was read.
async function late() {
  const { pool } = makeQueue();
  const sockets = [await makeHoarder(pool), await makeHoarder(pool), await makeHoarder(pool)];
  for (const socket of sockets) socket.deliver(10);
  await until(() => sockets.every(({ kept }) => kept.length === 10));
  await turns();
  for (const { receiver, kept } of sockets) {
    receiver.release(Uint32Array.from(kept), kept.length);
  }
  const before = state();
  await turns(2);
  const { flushes, dontneeds } = state();
  const held = sockets.map(({ number }) => kernel.held(number));
  const calls = sockets.map(({ counters }) => readStats(counters).returnCalls);
  for (const socket of sockets) socket.close();
  return { before: before.flushes, flushes, dontneeds, held, calls };
}

// More than a part of the memory, while there is more to read.
async function much() {
  const pages = 256;
  const { pool } = makeQueue(pages * PAGE);
  const socket = await makeHoarder(pool);
  socket.deliver(pages / 4);
  await until(() => socket.kept.length === pages / 4);
  const { flushes: before } = state();
  socket.deliver(1);
  await until(() => socket.kept.length === pages / 4 + 1);
  socket.receiver.release(Uint32Array.from(socket.kept), pages / 4);
  await turns(2);
  const { flushes } = state();
  const held = kernel.held(0);
  socket.close();
  return { flushes: flushes - before, held };
}

// Ranges that are more than the ring has room for. @param {number} refused errno, or 0
async function full(refused = 0) {
  const { pool } = makeQueue();
  const socket = await makeHoarder(pool);
  const count = 10_000;
  socket.deliver(count);
  await until(() => socket.kept.length === count);
  if (refused !== 0) kernel.refuse(FLUSH, refused, 1);
  const { flushes: before } = state();
  const every = (/** @type {number} */ rest) =>
    Uint32Array.from(socket.kept.filter((_, index) => index % 2 === rest));
  // One descriptor in each: no two tokens are neighbours.
  const odd = every(1);
  const status = socket.receiver.release(odd, odd.length);
  const between = state();
  const even = every(0);
  socket.receiver.release(even, even.length);
  await until(() => kernel.held(0) === 0);
  const { unknown, invalid } = state();
  const { tokensTaken, tokensReturned, tokensMissed } = readStats(socket.counters);
  socket.close();
  return {
    status,
    flushed: between.flushes > before,
    called: between.dontneeds > 0,
    unknown,
    invalid,
    whole: tokensTaken === count && tokensReturned === count && tokensMissed === 0,
  };
}

/** The same, in words. */
function refusedInWords(call = CREATE, errno = 0) {
  kernel.refuse(call, errno, errno === 0 ? 0 : 1);
  try {
    checkTokenQueue();
    return {};
  } catch (error) {
    const { code, message } = /** @type {import('devmem-tcp').SystemError} */ (error);
    return { code, message };
  }
}

/** What refuses to make a queue. */
function refusedQueue(call = CREATE, errno = 0) {
  kernel.refuse(call, errno, 1);
  const queue = new addon.TokenQueue();
  const first = queue.open();
  // Whatever it was, nothing of it stays.
  const second = queue.open();
  const third = queue.open();
  queue.close();
  return { first, second, third };
}

// A socket that cannot be attached at first, or at all.
async function refusedSocket(errno = EISCONN, times = 1) {
  const { pool } = makeQueue();
  kernel.refuse(ATTACH, errno, times);
  const socket = await makeHoarder(pool);
  const { queued } = socket.receiver;
  if (queued) {
    socket.deliver(10);
    await until(() => socket.kept.length === 10);
    socket.receiver.releaseRange(socket.kept[0] ?? 0, 10);
    await until(() => kernel.held(0) === 0);
  } else {
    socket.peer.write('plain');
    await until(() => socket.kept.length === 1);
  }
  const { dontneeds } = state();
  socket.close();
  return { queued, fragments: socket.kept.length, dontneeds };
}

// Somebody else writes to what the kernel is to have read.
async function scribbled(value = 0) {
  const { pool } = makeQueue();
  const socket = await makeHoarder(pool);
  socket.deliver(100);
  await until(() => socket.kept.length === 100);
  await turns();
  kernel.scribble(CONSUMER, value);
  const status = socket.receiver.releaseRange(socket.kept[0] ?? 0, 100);
  await until(() => kernel.held(0) === 0);
  const { unknown, invalid } = state();
  // And it goes on.
  socket.deliver(100);
  await until(() => socket.kept.length === 200);
  socket.receiver.release(Uint32Array.from(socket.kept.slice(100)), 100);
  await until(() => kernel.held(0) === 0);
  socket.close();
  return { status, unknown, invalid };
}

// The queue is closed while sockets are attached, with fragments in hand.
async function closed() {
  const { queue, pool } = makeQueue();
  const socket = await makeHoarder(pool);
  socket.deliver(10);
  await until(() => socket.kept.length === 10);
  queue.close();
  const status = socket.receiver.releaseRange(socket.kept[0] ?? 0, 10);
  const { dontneeds } = state();
  socket.close();
  return { status, held: kernel.held(0), dontneeds };
}

// A socket that ends leaves the queue, with its last fragment.
async function ends() {
  const { pool } = makeQueue();
  const socket = await makeHoarder(pool);
  socket.deliver(2);
  await until(() => socket.kept.length === 2);
  const { attached } = state();
  socket.receiver.close();
  const held = state().attached;
  socket.receiver.releaseRange(socket.kept[0] ?? 0, 2);
  const left = { attached: state().attached, held: kernel.held(0), unknown: state().unknown };
  socket.close();
  return { attached, held, left };
}

// Somebody else writes to an entry that tells of a fragment, of the first of two sockets.
async function falsified(what = 0, value = 0) {
  const { pool } = makeQueue();
  const [first, second] = [await makeHoarder(pool), await makeHoarder(pool)];
  second.deliver(10);
  await until(() => second.kept.length === 10);
  kernel.falsify(what, value);
  // The entry is the last of its call.
  first.deliver(1);
  await until(() => first.errors.length > 0);
  second.deliver(10);
  await until(() => second.kept.length === 20 || second.errors.length > 0);
  const held = kernel.held(first.number);
  const outcome = { errors: first.errors, kept: first.kept.length, held };
  const other = { errors: second.errors, kept: second.kept.length };
  first.close();
  second.close();
  return { ...outcome, other };
}

// A thread that is ended with entries in the ring, and fragments in hand.
async function worker() {
  const program = new Worker(new URL('token-queue-worker.mjs', import.meta.url));
  await once(program, 'message');
  return { status: await program.terminate() };
}

/** Anything, in any order. What user space gives back comes back, each once. */
async function atRandom(seed = 1) {
  const below = generator(seed);
  const { pool } = makeQueue(64 * MIB);
  /** @type {(Awaited<ReturnType<typeof makeHoarder>> & { delivered: number, open: boolean })[]} */
  const sockets = [];
  const open = async () => {
    sockets.push({ ...(await makeHoarder(pool)), delivered: 0, open: true });
  };
  const release = (/** @type {typeof sockets[number]} */ socket, most = Infinity) => {
    const { kept, receiver } = socket;
    const count = Math.min(kept.length, most);
    const from = below(kept.length - count + 1);
    const numbers = kept.splice(from, count);
    if (below(2) === 0) numbers.sort(() => below(3) - 1);
    if (receiver.release(Uint32Array.from(numbers), count) !== undefined)
      throw new Error('release');
  };
  for (let i = 0; i < 4; i++) await open();
  for (let step = 0; step < 400; step++) {
    const socket = sockets[below(sockets.length)];
    if (socket === undefined) continue;
    const what = below(20);
    if (what < 8 && socket.open) {
      const count = below(what === 0 ? 1500 : 100) + 1;
      socket.delivered += count;
      socket.deliver(count, below(PAGE) + 1);
    } else if (what < 15) {
      release(socket, below(what === 8 ? 5000 : 200));
    } else if (what === 15 && socket.open && sockets.length < 40) {
      await until(() => readStats(socket.counters).fragments === socket.delivered);
      socket.open = false;
      socket.receiver.close();
      await open();
    } else {
      await turns(below(3));
    }
    if (below(100) === 0) kernel.scribble(CONSUMER, below(2 ** 32));
  }
  for (const socket of sockets) {
    await until(() => readStats(socket.counters).fragments === socket.delivered);
    release(socket);
  }
  const held = () => sockets.reduce((sum, { number }) => sum + kernel.held(number), 0);
  await until(() => held() === 0);
  const { unknown, invalid, returned, attached } = state();
  const open_ = sockets.filter((socket) => socket.open).length;
  for (const socket of sockets) socket.close();
  return { left: held(), unknown, invalid, byRing: returned > 0, attached: attached === open_ };
}

/** @type {Record<string, (...args: number[]) => unknown>} */
const SCENARIOS = {
  ...{
    steady,
    late,
    much,
    full,
    refusedQueue,
    refusedInWords,
    refusedSocket,
    scribbled,
    closed,
    ends,
  },
  ...{ falsified, worker, atRandom },
};

const [scenario = '', ...args] = process.argv.slice(2);
const result = await SCENARIOS[scenario]?.(...args.map(Number));
process.stdout.write(JSON.stringify(result));
process.exit(0);
