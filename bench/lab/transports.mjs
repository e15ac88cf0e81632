// @ts-check
// In the guest: streams received by the kernel's devmem path, by its token queue and by
// io_uring, each by this package and in C, in turn, each on an rx queue and memory of its own.
// Prints all samples as JSON.
//
//   node --expose-gc bench/lab/transports.mjs PLAN
import { execFile, execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';

import { bindRx, connect, DmaBuf } from 'devmem-tcp';
import { alternate } from '../lib/alternate.mjs';
import { parseJson } from '../lib/json.mjs';
import { request, startSource } from '../peer/source.mjs';
import { INTERFACE, PEER_ADDRESS, PEER_INTERFACE } from './interface.mjs';
import { countCalls } from './system-calls.mjs';

/** @typedef {'cmsgC' | 'cmsg' | 'queueC' | 'queue' | 'zcrxC' | 'zcrx'} Contender */
/**
 * @typedef {object} Setting
 * @property {number} mtu bytes
 * @property {number} connections
 * @property {boolean} holds half of the memory, before the oldest is given back
 * @property {number} MiB of all connections together
 * @property {number} rounds
 * @property {number} warmUps rounds before, of what is compiled at run time
 */
/**
 * @typedef {object} TransportPlan
 * @property {string} source the programs, built
 * @property {string} cmsgReceiver
 * @property {string} queueReceiver
 * @property {string} zcrxReceiver
 * @property {number} memoryMiB of each memory
 * @property {boolean} calls whether system calls of JavaScript are counted, in a sample by itself
 * @property {readonly Contender[]} contenders
 * @property {readonly Setting[]} settings
 */
/**
 * @typedef {object} TransportSample
 * @property {number} bytes
 * @property {number} frags
 * @property {number} seconds from connecting to the last byte
 * @property {number} user    CPU seconds of the receiving process
 * @property {number} system
 * @property {number} wakes   of sockets: one in which something came for several counts for each
 * @property {number | null} calls to the kernel, of the thread that receives, where they are counted
 */
/** @typedef {{ kernel: string, results: (Setting & { samples: Record<string, TransportSample[]>, counted: Record<string, TransportSample> })[] }} TransportSamples */
/** @typedef {import('devmem-tcp').Binding} Binding */

const MiB = 2 ** 20;
const execute = promisify(execFile);
const plan = /** @type {TransportPlan} */ (parseJson(process.argv[2] ?? ''));
const memoryBytes = plan.memoryMiB * MiB;

/** Where packets go while this contender receives. @type {Record<Contender, number>} */
const QUEUES = { cmsgC: 1, cmsg: 1, zcrx: 2, zcrxC: 3, queueC: 4, queue: 4 };

/** @param {'cmsg' | 'queue' | 'zcrx'} transport */
async function bind(transport) {
  const memory = await DmaBuf.allocate({ type: 'dma-heap', size: memoryBytes });
  return bindRx({
    interface: INTERFACE,
    queues: [QUEUES[transport]],
    memory,
    mode: 'devmem',
    transport,
    // Beyond what the consumer holds.
    heldLimit: (memoryBytes / 4) * 3,
  });
}

/** Those that are asked for. @type {Record<string, Binding>} */
const bindings = {};
for (const name of /** @type {const} */ (['cmsg', 'queue', 'zcrx'])) {
  if (plan.contenders.some((each) => each.startsWith(name))) bindings[name] = await bind(name);
}
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

/** Batches that are held, of all connections, the oldest first. */
class Held {
  /** @type {import('devmem-tcp').Batch[]} */
  #batches = [];
  #bytes = 0;
  #most;

  /** @param {number} most bytes */
  constructor(most) {
    this.#most = most;
  }

  /** @param {import('devmem-tcp').Batch} batch */
  add(batch) {
    if (this.#most === 0) {
      batch.release();
      return;
    }
    this.#batches.push(batch);
    this.#bytes += batch.byteLength;
    while (this.#bytes > this.#most) this.#releaseOldest();
  }

  releaseAll() {
    while (this.#batches.length > 0) this.#releaseOldest();
  }

  #releaseOldest() {
    const oldest = this.#batches.shift();
    if (oldest === undefined) return;
    this.#bytes -= oldest.byteLength;
    oldest.release();
  }
}

/** @typedef {Pick<Setting, 'connections' | 'holds' | 'MiB'>} Load */
/** @param {Load} load */
const bytesOfEach = ({ MiB: size, connections }) => Math.floor((size * MiB) / connections);
/** @param {Load} load */
const heldBytes = ({ holds }) => (holds ? memoryBytes / 2 : 0);

/**
 * @param {Binding} binding
 * @param {Load} load
 * @returns {Promise<TransportSample>}
 */
async function receive(binding, load) {
  const held = new Held(heldBytes(load));
  const cpu = process.cpuUsage();
  const before = performance.now();
  const stats = await Promise.all(
    Array.from({ length: load.connections }, async () => {
      const { host, port } = source;
      const socket = await connect({ binding, host, port });
      socket.writable.write(request(bytesOfEach(load)));
      for await (const batch of socket.batches({ preventClose: true })) {
        batch.forEach(consume, ignore);
        held.add(batch);
      }
      return { socket, ...socket.stats };
    }),
  );
  const seconds = (performance.now() - before) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  held.releaseAll();
  await Promise.all(stats.map(({ socket }) => socket.close()));
  const sum = (/** @type {'deviceBytes' | 'linearBytes' | 'tokensTaken' | 'wakes'} */ name) =>
    stats.reduce((total, each) => total + each[name], 0);
  return {
    bytes: sum('deviceBytes') + sum('linearBytes'),
    frags: sum('tokensTaken'),
    seconds,
    user: user / 1e6,
    system: system / 1e6,
    wakes: sum('wakes'),
    calls: null,
  };
}

/**
 * @param {string} program
 * @param {readonly (string | number)[]} args
 * @returns {Promise<TransportSample>}
 */
async function runProgram(program, args) {
  const { stdout } = await execute(program, args.map(String));
  return /** @type {TransportSample} */ (parseJson(stdout));
}

/** @param {'cmsg' | 'queue' | 'zcrx'} name */
function binding(name) {
  const { [name]: found } = bindings;
  if (found === undefined) throw new Error(`nothing is bound for ${name}`);
  return found;
}

/** @param {Load} load */
const target = (load) => [source.host, source.port, bytesOfEach(load), load.connections];

/** @type {Record<Contender, (load: Load) => Promise<TransportSample>>} */
const CONTENDERS = {
  cmsgC: (load) =>
    runProgram(plan.cmsgReceiver, [
      ...target(load),
      ...[binding('cmsg').id, 'epoll', 1, heldBytes(load)],
    ]),
  cmsg: (load) => receive(binding('cmsg'), load),
  queueC: (load) =>
    runProgram(plan.queueReceiver, [...target(load), binding('queue').id, heldBytes(load)]),
  queue: (load) => receive(binding('queue'), load),
  zcrxC: (load) =>
    runProgram(plan.zcrxReceiver, [
      ...target(load),
      ...[binding('zcrx').interfaceIndex ?? 0, QUEUES.zcrxC, memoryBytes, heldBytes(load)],
    ]),
  zcrx: (load) => receive(binding('zcrx'), load),
};

/** @param {number} mtu bytes */
function setMtu(mtu) {
  execFileSync('ip', ['link', 'set', INTERFACE, 'mtu', String(mtu)]);
  execFileSync('peer', ['ip', 'link', 'set', PEER_INTERFACE, 'mtu', String(mtu)]);
}

/** @param {Contender} name */
function steerTo(name) {
  const steering = ['start', String(QUEUES[name]), 'equal', '1'];
  execFileSync('ethtool', ['-X', INTERFACE, ...steering]);
}

/**
 * @param {Setting} setting
 * @param {readonly Contender[]} names
 * @returns {Record<string, () => Promise<TransportSample>>}
 */
function contenders(setting, names) {
  return Object.fromEntries(
    names.map((name) => [
      name,
      () => {
        steerTo(name);
        return CONTENDERS[name](setting);
      },
    ]),
  );
}

/**
 * What C counts by itself.
 * @param {Setting} setting
 */
async function countJavaScript(setting) {
  /** @type {Record<string, TransportSample>} */
  const counted = {};
  if (!plan.calls) return counted;
  for (const name of plan.contenders.filter((name) => !name.endsWith('C'))) {
    steerTo(name);
    const { value, calls } = await countCalls(() => CONTENDERS[name](setting));
    counted[name] = { ...value, calls };
  }
  return counted;
}

/** @type {TransportSamples['results']} */
const results = [];
for (const setting of plan.settings) {
  const { mtu, connections, holds, rounds, warmUps } = setting;
  setMtu(mtu);
  const what = `MTU ${mtu}, ${connections} connection(s)${holds ? ', half held' : ''}`;
  const compiled = plan.contenders.filter((name) => !name.endsWith('C'));
  await alternate(contenders(setting, compiled), warmUps);
  const samples = await alternate(contenders(setting, plan.contenders), rounds, (name, round) => {
    process.stderr.write(`bench: compare: ${what}, round ${round + 1} of ${rounds}: ${name}\n`);
  });
  results.push({ ...setting, samples, counted: await countJavaScript(setting) });
}
if (!((consumed[0] ?? 0) > 0)) throw new Error('nothing was consumed');
await source.close();
for (const binding of Object.values(bindings)) {
  await binding.close();
  await binding.memory.close();
}
process.stdout.write(`${JSON.stringify({ kernel: release(), results })}\n`);
