// @ts-check
// Calls the addon as nothing of dist/ does, and prints what it says.
//
//   native-misuse.mjs mark TRANSPORT ID | order | size | callback | strangers | receivers
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { descriptorOf, stopReading } from '../../../dist/ipc/handle.js';
import { native } from '../../../dist/native.js';
import { ring } from '../../../dist/receive/ring.js';
import { createCounters, sharedDoubles } from '../../../dist/receive/stats.js';

/** @typedef {import('../../../src/ts/native.js').Native} Native */
/** @typedef {import('../../../src/ts/native.js').Receiver} Receiver */

const MIB = 2 ** 20;
const addon = /** @type {Native} */ (/** @type {unknown} */ (native()));
const ignore = () => {};

/** @param {number} id @param {object} [filler] @param {number} [size] */
function makePool(id, filler, size = MIB) {
  const readout = sharedDoubles(addon.layout.pool.length);
  const pool = new addon.Pool(id, size, 4096, size, readout, /** @type {any} */ (filler));
  return { pool, readout };
}

/** @param {number} size */
function makeMapping(size) {
  const fd = addon.memfdCreate('native-misuse', size, 0);
  if (typeof fd === 'number') throw new Error(`memfd_create: ${fd}`);
  const mapping = addon.mapFd(fd, size);
  if (typeof mapping === 'number') throw new Error(`mmap: ${mapping}`);
  return mapping;
}

const makeQueue = () => new addon.ZcrxQueue(ignore);

/** @param {() => unknown} call @returns {string} */
function refusal(call) {
  try {
    return `returned ${String(call())}`;
  } catch (error) {
    return String(error);
  }
}

/** @param {string} transport @param {number} id */
function mark(transport, id) {
  const fillers = {
    cmsg: () => undefined,
    copy: () => makeMapping(MIB),
    zcrx: makeQueue,
    queue: () => new addon.TokenQueue(),
  };
  const filler = fillers[/** @type {keyof typeof fillers} */ (transport)]();
  const { pool, readout } = makePool(id, filler);
  const said = refusal(() => {
    const receiver = new addon.Receiver(pool, createCounters(), ignore);
    return receiver.alone;
  });
  return { said, members: readout[addon.layout.pool.members] };
}

// Each call that is out of order, whether there is an io_uring here or not.
function order() {
  const queue = makeQueue();
  const unopened = [registered(queue), registered(queue)];
  queue.open();
  const opened = queue.open();
  registered(queue);
  const again = registered(queue);
  queue.close();
  queue.close();
  return { unopened, opened, again, closed: [queue.open(), registered(queue)] };
}

/** @param {import('../../../src/ts/native.js').ZcrxQueue} queue */
const registered = (queue, size = MIB) => queue.register(0, 0, -1, size, 0, false);

function size() {
  const queue = makeQueue();
  queue.open();
  return [Infinity, -Infinity, NaN, 0, -4096, 2 ** 64].map((bytes) => registered(queue, bytes));
}

async function callback() {
  setFlagsFromString('--expose-gc');
  const gc = /** @type {() => void} */ (runInNewContext('gc'));
  let gone = 0;
  const registry = new FinalizationRegistry(() => gone++);
  for (let i = 0; i < 10; i++) {
    /** @type {object[]} */
    const known = [];
    const queue = new addon.ZcrxQueue(() => known.length);
    known.push(queue);
    registry.register(queue, undefined);
    queue.close();
  }
  for (let i = 0; i < 20 && gone === 0; i++) {
    await turn();
    gc();
  }
  return { collected: gone > 0 };
}

// Each method and accessor, on objects of the other class and on none.
function strangers() {
  const queue = makeQueue();
  const { pool } = makePool(1);
  const receiver = new addon.Receiver(pool, createCounters(), ignore);
  /** @type {Record<string, string>} */
  const said = {};
  for (const [kind, other] of /** @type {const} */ ([
    [addon.Receiver, queue],
    [addon.ZcrxQueue, receiver],
  ])) {
    const { prototype } = /** @type {{ prototype: object }} */ (/** @type {unknown} */ (kind));
    for (const key of Object.getOwnPropertyNames(prototype)) {
      if (key === 'constructor') continue;
      const property = Object.getOwnPropertyDescriptor(prototype, key) ?? {};
      const method = /** @type {Function} */ (
        Reflect.get(property, property.get ? 'get' : 'value')
      );
      for (const [index, self] of [other, {}, undefined].entries()) {
        said[`${kind.name}.${key} ${index}`] = refusal(() => Reflect.apply(method, self, []));
      }
    }
  }
  receiver.close();
  return said;
}

/**
 * A receiver that holds one fragment of its own.
 *
 * @param {import('../../../src/ts/native.js').Pool} pool
 * @param {Buffer} bytes
 */
async function receive(pool, bytes) {
  const server = net.createServer((peer) => peer.end(bytes)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const connection = net.connect({ host: '127.0.0.1', port });
  await once(connection, 'connect');
  stopReading(connection, 'TCP');
  /** @type {(number: number) => void} */
  let came = ignore;
  const number = new Promise((resolve) => (came = resolve));
  /** @type {Receiver} */
  const receiver = new addon.Receiver(pool, createCounters(), (first, count) => {
    receiver.pause();
    if (count > 0) came(first);
  });
  receiver.open(descriptorOf(connection, 'TCP') ?? -1);
  receiver.resume(true);
  return { receiver, number: /** @type {number} */ (await number) };
}

// Two that hold fragments in memories of their own, each asked for the other's.
async function receivers() {
  ring();
  const bytes = Buffer.alloc(100);
  const small = makePool(1000, makeMapping(64 * 1024), 64 * 1024);
  const large = makePool(1001, makeMapping(64 * MIB), 64 * MIB);
  const unread = makePool(1002);
  const ours = await receive(small.pool, bytes);
  const theirs = await receive(large.pool, bytes);
  const third = await receive(unread.pool, bytes);
  const held = () => [ours, theirs, third].map(({ receiver }) => receiver.held).join();
  const bytesHeld = () => [small, large].map(({ readout }) => readout[addon.layout.pool.held]);
  const asked = [ours, third].map(({ receiver }) => {
    const part = receiver.releasePart(theirs.number, 0, 1);
    receiver.releaseRange(theirs.number, 1);
    receiver.release(Uint32Array.of(theirs.number), 1);
    return { part, held: held(), bytes: bytesHeld() };
  });
  ours.receiver.releaseRange(ours.number, 1);
  theirs.receiver.releaseRange(theirs.number, 1);
  third.receiver.releaseRange(third.number, 1);
  return { asked, after: { held: held(), bytes: bytesHeld() } };
}

const [what, ...rest] = process.argv.slice(2);
/** @type {Record<string, () => unknown>} */
const all = {
  mark: () => mark(rest[0] ?? '', Number(rest[1])),
  order,
  size,
  callback,
  strangers,
  receivers,
};
console.log(JSON.stringify(await all[what ?? '']?.()));
// What is left is to go by itself, but for connections.
if (what === 'receivers') process.exit();
