// @ts-check
// What a ring of io_uring may do, done by one of the test's own; prints what became of it.
//
//   LD_PRELOAD=… zcrx-ring.mjs SCENARIO [ARGUMENT]…
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import {
  addon,
  CANCEL,
  DRY,
  givenBack,
  kernel,
  makePool,
  makeQueue,
  makeReceiver,
  makeSocket,
  MIB,
  MORE,
  nextRequest,
  PAGE,
  POLL,
  RECEIVE,
  submitted,
} from '../zcrx/ring.mjs';
import { makeConnection, turns } from '../../support/connections.mjs';
import { generator } from '../../support/generator.mjs';
import { createCounters, readStats } from '../../../dist/receive/stats.js';

/** @typedef {import('../../../src/ts/native.js').Receiver} Receiver */

const EAGAIN = 11;
const EBUSY = 16;
const ENOSPC = 28;
const AGAIN_AND_AGAIN = 1e6;
const ignore = () => {};

// A socket is closed while the kernel takes nothing, and the submission queue is full.
async function cancels() {
  const { pool, queue } = makeQueue();
  const busy = await makeReceiver(pool, ignore);
  await nextRequest();
  const closed = await makeReceiver(pool, ignore);
  const { request } = await nextRequest();
  kernel.refuse(EAGAIN, AGAIN_AND_AGAIN);
  for (let i = 0; i < 300; i++) busy.receiver.discard();
  closed.receiver.close();
  await turns();
  kernel.refuse(0, 0);
  await turns();
  const cancelled = submitted().filter(
    ({ opcode, address }) => opcode === CANCEL && address === request,
  );
  busy.receiver.close();
  queue.close();
  return { cancelled: cancelled.length };
}

// A socket is closed whose request the kernel has not taken yet: its descriptor's number
// may be another's by then.
async function stale() {
  const { pool, queue } = makeQueue();
  kernel.refuse(EAGAIN, AGAIN_AND_AGAIN);
  const { receiver } = await makeReceiver(pool, ignore);
  await turns();
  receiver.close();
  kernel.refuse(0, 0);
  await turns();
  const asked = submitted().filter(({ opcode }) => opcode === RECEIVE);
  queue.close();
  return { asked: asked.length };
}

// More completions than there is room for, the last of which says so.
async function overflow() {
  const { pool, queue } = makeQueue();
  /** @type {number[]} */
  const numbers = [];
  let bytes = 0;
  const { receiver } = await makeReceiver(pool, (first, count) => {
    for (let i = 0; i < count; i++) numbers.push(first + i);
    bytes += count * PAGE;
  });
  const { request } = await nextRequest();
  const count = 3000;
  const offsets = Array.from({ length: count }, (_, index) => index * PAGE);
  for (const offset of offsets) kernel.complete(request, PAGE, MORE, offset);
  kernel.complete(request, -ENOSPC, 0, 0);
  const again = await nextRequest();
  for (const number of numbers) receiver.releaseRange(number, 1);
  const { taken, flushed } = givenBack();
  const back = [...flushed, ...taken].sort((a, b) => a - b);
  receiver.close();
  queue.close();
  return {
    fragments: numbers.length,
    bytes,
    again: again.request === request,
    whole: JSON.stringify(back) === JSON.stringify(offsets),
  };
}

// Fragments given back that find no room, because no NIC takes from the refill ring.
async function refillFull() {
  const { pool, queue } = makeQueue(MIB);
  const pages = MIB / PAGE;
  const { receiver, counters } = await makeReceiver(pool, (first, count) => {
    receiver.releaseRange(first, count);
  });
  const { request } = await nextRequest();
  const offsets = Array.from({ length: 1000 }, (_, index) => ((index * 7) % pages) * PAGE);
  const send = () => {
    for (const offset of offsets) kernel.complete(request, PAGE, MORE, offset);
  };
  /** @type {number[]} */
  const back = [];
  const collect = () => {
    const { taken, flushed } = givenBack();
    back.push(...flushed, ...taken);
  };
  send();
  await turns();
  collect();
  const first = back.length;
  kernel.refuseFlush(EBUSY);
  send();
  await turns();
  kernel.refuseFlush(0);
  collect();
  const refused = back.length;
  // The next wake, whatever it is for.
  kernel.complete(DRY, 0, 0, 0);
  await turns();
  collect();
  receiver.close();
  queue.close();
  const expected = [...offsets, ...offsets].sort((a, b) => a - b);
  return {
    first,
    refused,
    whole: JSON.stringify(back.toSorted((a, b) => a - b)) === JSON.stringify(expected),
    errors: readStats(counters).returnErrors,
  };
}

// Whatever the order of arrivals, releases, a NIC that takes and a kernel that does not.
async function refillAtRandom(seed = 1) {
  const below = generator(seed);
  const { pool, queue } = makeQueue(MIB);
  /** @type {number[]} */
  const held = [];
  const { receiver } = await makeReceiver(pool, (first, count) => {
    for (let i = 0; i < count; i++) held.push(first + i);
  });
  const { request } = await nextRequest();
  /** @type {Map<number, number>} */
  const out = new Map();
  let lost = 0;
  const add = (/** @type {number} */ offset, /** @type {number} */ by) => {
    const now = (out.get(offset) ?? 0) + by;
    if (now < 0) lost++;
    out.set(offset, now);
  };
  const steps = [
    () => {
      for (let i = below(300); i > 0; i--) {
        const offset = below(MIB / PAGE) * PAGE;
        add(offset, 1);
        kernel.complete(request, PAGE, MORE, offset);
      }
    },
    () => {
      for (const number of held.splice(0, below(held.length + 1))) receiver.releaseRange(number, 1);
    },
    () => {
      const { taken, flushed } = givenBack();
      for (const offset of [...taken, ...flushed]) add(offset, -1);
    },
    () => {
      kernel.refuseFlush(below(2) * EBUSY);
    },
  ];
  for (let i = 0; i < 400; i++) {
    steps[below(steps.length)]?.();
    if (below(3) === 0) await turns(2);
  }
  kernel.refuseFlush(0);
  await turns();
  for (const number of held.splice(0)) receiver.releaseRange(number, 1);
  kernel.complete(DRY, 0, 0, 0);
  await turns();
  steps[2]?.();
  receiver.close();
  queue.close();
  return { lost, left: [...out.values()].filter((count) => count !== 0).length };
}

// The kernel refuses the ring itself, while a socket waits.
async function refused(errno = 0) {
  const { socket, close } = await makeSocket();
  const reading = socket.batches().next();
  await nextRequest();
  kernel.refuse(errno, AGAIN_AND_AGAIN);
  kernel.complete(DRY, 0, 0, 0);
  const error = await reading.then(() => undefined, said);
  await close();
  return error;
}

// An answer that cannot be true.
async function untrue(result = 0, offset = 0) {
  const { socket, binding, close } = await makeSocket();
  const reading = socket.batches().next();
  const { request } = await nextRequest();
  kernel.complete(request, result, MORE, offset);
  const error = await reading.then(() => undefined, said);
  const { heldBytes } = binding;
  await close();
  return { ...error, heldBytes };
}

// Data that lies in no area: the kernel says that it cannot copy it into a dma-buf.
async function unsteered(errno = 0) {
  const { socket, peer, close } = await makeSocket();
  const reading = socket.batches().next();
  const { request } = await nextRequest();
  await new Promise((resolve) => peer.write('unsteered', resolve));
  kernel.complete(request, -errno, 0, 0);
  const { value } = await reading;
  const kinds = value === undefined ? [] : [...value].map(({ kind }) => kind);
  const text = Buffer.from(value?.fragment(0).bytes ?? []).toString();
  value?.release();
  await nextRequest();
  await close();
  return { kinds, text };
}

// Nobody wants the rest, of which the next is in no area: told in the same wake.
async function discarded(errno = 0) {
  const { pool, queue } = makeQueue();
  let fragments = 0;
  /** @type {number[]} */
  const ended = [];
  const { receiver, peer } = await makeReceiver(pool, (first, count, flags = 0) => {
    fragments += count;
    if (count > 0) receiver.releaseRange(first, count);
    receiver.discard();
    if ((flags & addon.layout.flags.end) !== 0) ended.push(flags);
  });
  const { request } = await nextRequest();
  peer.end('unwanted');
  await new Promise((resolve) => peer.once('finish', resolve));
  kernel.complete(request, PAGE, MORE, 0);
  kernel.complete(request, -errno, 0, 0);
  while (ended.length === 0) {
    // Who asks to be told of data, or the end, is told.
    for (const { opcode, request } of submitted()) {
      if (opcode === POLL) kernel.complete(request, 1, 0, 0);
    }
    await turns(1);
  }
  const { held } = receiver;
  receiver.close();
  queue.close();
  return { fragments, held };
}

// What neither way of reading gives: in another binding's memory, say.
async function barren(errno = 0) {
  const { socket, close } = await makeSocket();
  const reading = socket.batches().next();
  const outcome = reading.then(() => undefined, said);
  /** @type {boolean[]} */
  const over = [];
  void outcome.then(() => over.push(true));
  while (over.length === 0) {
    for (const { opcode, request } of submitted()) {
      if (opcode === RECEIVE) kernel.complete(request, -errno, 0, 0);
    }
    await turns(1);
  }
  await close();
  return outcome;
}

// Nobody has the queue any more, but for the kernel.
async function forgotten() {
  let told = 0;
  makeQueue(MIB, () => told++);
  setFlagsFromString('--expose-gc');
  const gc = /** @type {() => void} */ (runInNewContext('gc'));
  for (let i = 0; i < 20; i++) {
    gc();
    await turns(1);
  }
  kernel.complete(DRY, 0, 0, 0);
  await turns();
  return { told };
}

// A receiver of a queue that was never registered, and of one that is closed.
async function unregistered() {
  const never = new addon.ZcrxQueue(ignore);
  never.open();
  const words = refusal(() => new addon.Receiver(makePool(never), createCounters(), ignore));
  const { pool, queue } = makeQueue();
  queue.close();
  const { fd, connection, peer } = await makeConnection();
  const error = await new Promise((resolve) => {
    const receiver = new addon.Receiver(
      /** @type {any} */ (pool),
      createCounters(),
      (...[, , , errno]) => {
        receiver.close();
        resolve(errno);
      },
    );
    receiver.open(fd);
    receiver.resume(true);
  });
  connection.destroy();
  peer.destroy();
  return { words, error };
}

/** @param {() => unknown} call @returns {string} */
function refusal(call) {
  try {
    return `returned ${String(call())}`;
  } catch (error) {
    return String(error);
  }
}

/** @param {unknown} reason */
function said(reason) {
  const { code, syscall, message } = /** @type {import('devmem-tcp').SystemError} */ (reason);
  return { code, syscall, message };
}

/** @type {Record<string, (...numbers: number[]) => Promise<unknown>>} */
const scenarios = {
  cancels,
  stale,
  overflow,
  refillFull,
  refillAtRandom,
  refused,
  untrue,
  unsteered,
  discarded,
  barren,
  forgotten,
  unregistered,
};
const [name = '', ...rest] = process.argv.slice(2);
console.log(JSON.stringify(await scenarios[name]?.(...rest.map(Number))));
// Connections that nobody closed.
if (['cancels', 'stale', 'overflow', 'refillFull', 'refillAtRandom', 'discarded'].includes(name))
  process.exit();
