// @ts-check
// In the guest: streams received into bound memory by this package and by the C receiver,
// in turn. Prints all samples as JSON.
//
//   node --expose-gc bench/lab/streams.mjs PLAN
import { execFile, execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';

import { bindRx, connect, DmaBuf } from 'devmem-tcp';
import { alternate } from '../lib/alternate.mjs';
import { parseJson } from '../lib/json.mjs';
import { request, startSource } from '../peer/source.mjs';
import { INTERFACE, PEER_ADDRESS, PEER_INTERFACE, rxQueues } from './interface.mjs';

/**
 * @typedef {object} Plan
 * @property {string} source    the program, built
 * @property {string} receiver
 * @property {number} memoryMiB
 * @property {{ mtu: number, connections: number, MiB: number, rounds: number, warmUps: number }[]} settings
 *   MiB: of all connections together; warmUps: rounds before, until all code is compiled
 * @property {readonly string[]} contenders
 */

/**
 * One stream, or several at once, received.
 * @typedef {object} Sample
 * @property {number} bytes
 * @property {number} linearBytes of those, what did not reach device memory
 * @property {number} frags
 * @property {number} seconds  from connecting to the last byte
 * @property {number} user     CPU seconds of the receiving process
 * @property {number} system
 * @property {number} receiveCalls
 * @property {number} returnCalls
 * @property {number} waitCalls
 */

/** @typedef {import('devmem-tcp').DevmemSocket} DevmemSocket */

const MiB = 2 ** 20;
/** Bytes: of the contenders that wait for so many at a time. */
const LOW_WATER_MARK = MiB;
/** Microseconds: how long a contender that polls the NIC by itself does so before it sleeps. */
const BUSY_POLL = 50;

const execute = promisify(execFile);
const plan = /** @type {Plan} */ (parseJson(process.argv[2] ?? ''));

const memory = await DmaBuf.allocate({ type: 'dma-heap', size: plan.memoryMiB * MiB });
const queues = rxQueues();
const binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
const source = await startSource(plan.source, PEER_ADDRESS, ['peer']);

// In a typed array: each new value of a variable is a number on the heap.
const consumed = new Float64Array(1);
/**
 * @param {number} offset
 * @param {number} size
 */
const consume = (offset, size) => {
  consumed[0] = (consumed[0] ?? 0) + offset + size;
};
const ignore = () => {};

/** @satisfies {Record<string, (socket: DevmemSocket) => Promise<void>>} */
const READERS = {
  /** @param {DevmemSocket} socket */
  async batches(socket) {
    for await (const batch of socket.batches()) {
      batch.forEach(consume, ignore);
      batch.release();
    }
  },
  /** @param {DevmemSocket} socket */
  async fragments(socket) {
    for await (const fragment of socket) {
      consume(fragment.offset ?? 0, fragment.size);
      fragment.release();
    }
  },
};

/**
 * @param {number} bytes of each connection
 * @param {number} connections
 * @param {(socket: DevmemSocket) => Promise<void>} read
 * @param {number} lowWaterMark
 * @returns {Promise<Sample>}
 */
async function receive(bytes, connections, read, lowWaterMark) {
  const cpu = process.cpuUsage();
  const before = performance.now();
  const stats = await Promise.all(
    Array.from({ length: connections }, async () => {
      const { host, port } = source;
      const socket = await connect({ binding, host, port, lowWaterMark });
      socket.writable.write(request(bytes));
      await read(socket);
      await socket.close();
      return socket.stats;
    }),
  );
  const seconds = (performance.now() - before) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const sum = (/** @type {keyof (typeof stats)[number]} */ name) =>
    stats.reduce((total, each) => total + each[name], 0);
  return {
    bytes: sum('deviceBytes') + sum('linearBytes'),
    linearBytes: sum('linearBytes'),
    frags: sum('tokensTaken'),
    seconds,
    user: user / 1e6,
    system: system / 1e6,
    receiveCalls: sum('receiveCalls'),
    returnCalls: sum('returnCalls'),
    waitCalls: sum('wakes'),
  };
}

/**
 * @param {number} bytes
 * @param {number} connections
 * @param {'epoll' | 'block'} wait
 * @param {number} lowWaterMark
 * @returns {Promise<Sample>}
 */
async function receiveInC(bytes, connections, wait, lowWaterMark) {
  const { host, port } = source;
  const args = [host, port, bytes, connections, binding.id, wait, lowWaterMark].map(String);
  const { stdout } = await execute(plan.receiver, args);
  return /** @type {Sample} */ (parseJson(stdout));
}

/**
 * Where a receiver has nothing to read, it asks the NIC itself, rather than wait for its
 * interrupt (Documentation/networking/napi.rst, "Busy polling").
 * @param {() => Promise<Sample>} receiving
 */
const busyPolling = (receiving) => async () => {
  setBusyPoll(BUSY_POLL);
  try {
    return await receiving();
  } finally {
    setBusyPoll(0);
  }
};

/**
 * For all sockets; the setting is shown in the first network namespace alone.
 * @param {number} microseconds for poll, epoll and blocking reads; 0: off
 */
function setBusyPoll(microseconds) {
  const settings = ['busy_poll', 'busy_read'].map((name) => `net.core.${name}=${microseconds}`);
  execFileSync('nsenter', ['--target', '1', '--net', 'sysctl', '--quiet', '--write', ...settings]);
}

/**
 * @param {number} bytes
 * @param {number} connections
 * @returns {Record<string, () => Promise<Sample>>}
 */
function contenders(bytes, connections) {
  /** @type {Record<string, () => Promise<Sample>>} */
  const all = {
    c: () => receiveInC(bytes, connections, 'epoll', 1),
    cBlocking: () => receiveInC(bytes, connections, 'block', 1),
    cMarked: () => receiveInC(bytes, connections, 'epoll', LOW_WATER_MARK),
    batchesMarked: () =>
      receive(bytes, connections, (socket) => READERS.batches(socket), LOW_WATER_MARK),
  };
  for (const [name, read] of Object.entries(READERS)) {
    all[name] = () => receive(bytes, connections, read, 1);
  }
  all.cBusyPolling = busyPolling(() => receiveInC(bytes, connections, 'epoll', 1));
  all.batchesBusyPolling = busyPolling(() =>
    receive(bytes, connections, (socket) => READERS.batches(socket), 1),
  );
  const wanted = Object.entries(all).filter(([name]) => plan.contenders.includes(name));
  return Object.fromEntries(wanted.filter(([name]) => connections === 1 || name !== 'cBlocking'));
}

/** @param {number} mtu bytes */
function setMtu(mtu) {
  execFileSync('ip', ['link', 'set', INTERFACE, 'mtu', String(mtu)]);
  execFileSync('peer', ['ip', 'link', 'set', PEER_INTERFACE, 'mtu', String(mtu)]);
}

const results = [];
for (const { mtu, connections, MiB: size, rounds, warmUps } of plan.settings) {
  setMtu(mtu);
  const bytes = Math.floor((size * MiB) / connections);
  const all = contenders(bytes, connections);
  const isC = new Set(['c', 'cBlocking', 'cMarked', 'cBusyPolling']);
  const compiled = Object.fromEntries(Object.entries(all).filter(([name]) => !isC.has(name)));
  await alternate(compiled, warmUps);
  const samples = await alternate(all, rounds, (name, round) => {
    process.stderr.write(
      `bench: lab: MTU ${mtu}, ${connections} connection(s), round ${round + 1} of ${rounds}: ${name}\n`,
    );
  });
  results.push({ mtu, connections, samples });
}
if (!((consumed[0] ?? 0) > 0)) throw new Error('nothing was consumed');
await source.close();
await binding.close();
await memory.close();
process.stdout.write(`${JSON.stringify({ kernel: release(), results })}\n`);
