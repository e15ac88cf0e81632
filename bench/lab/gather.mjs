// @ts-check
// In the guest: bytes that have arrived, taken, copied to one place and given back, each step
// by itself, against memcpy of the same runs from the same memory in C. Prints ns a byte of
// each, and runs in a sample, as JSON.
//
//   node bench/lab/gather.mjs SOURCE MEMCPY MIB ROUNDS
import { performance } from 'node:perf_hooks';
import { setImmediate as immediate } from 'node:timers/promises';

import { bindRx, connect, DmaBuf } from '../../dist/index.js';
import { gatherTo } from '../lib/gather.mjs';
import { startMemcpy } from '../peer/memcpy.mjs';
import { request, startSource } from '../peer/source.mjs';
import { INTERFACE, PEER_ADDRESS, rxQueues } from './interface.mjs';

const MiB = 2 ** 20;
const SIZE = 128 * MiB;

const [program = '', memcpy = '', size = '', rounds = ''] = process.argv.slice(2);
const BYTES = Number(size) * MiB;
// Until all of it is compiled.
const WARM_UPS = Math.ceil((600 * MiB) / BYTES);

const memory = await DmaBuf.allocate({ type: 'udmabuf', size: SIZE });
memory.map().fill(1);
const copying = startMemcpy(memcpy, memory, BYTES);
const binding = await bindRx({
  interface: INTERFACE,
  queues: rxQueues(),
  memory,
  mode: 'devmem',
});
const source = await startSource(program, PEER_ADDRESS, ['peer']);
const target = new Uint8Array(BYTES).fill(1);
const gather = gatherTo(memory, target);
const all = WARM_UPS + Number(rounds);

/**
 * Has a reader of so many bytes that have all arrived: what is timed waits for nothing, and
 * nothing else goes on meanwhile.
 *
 * @template T
 * @param {(reader: import('../../dist/index.js').SocketReader) => Promise<T>} use
 * @returns {Promise<T>}
 */
async function withArrived(use) {
  const socket = await connect({ binding, host: source.host, port: source.port });
  const reader = socket.reader();
  socket.writable.write(request(BYTES));
  await reader.peek(BYTES);
  const value = await use(reader);
  await socket.close();
  return value;
}

/**
 * @template T
 * @param {() => T | Promise<T>} step
 */
async function timed(step) {
  const before = performance.now();
  const value = await step();
  return { value, ns: (performance.now() - before) * 1e6 };
}

/**
 * @param {import('../../dist/index.js').SocketReader} reader
 * @param {number} round
 */
async function bySteps(reader, round) {
  const { value: span, ns: take } = await timed(() => reader.take(BYTES));
  const runs = span.runs().filter(({ offset }) => offset !== undefined);
  const sync = await timed(() => memory.cpuAccess(() => {}));
  const first = round % 2 === 0 ? gather(span) : undefined;
  const memcpyNs = await copying.copy(runs);
  const gatherNs = first ?? gather(span);
  const release = await timed(() => {
    span.release();
    return immediate();
  });
  return { take, gather: gatherNs, sync: sync.ns, release: release.ns, memcpy: memcpyNs, runs };
}

/** @param {import('../../dist/index.js').SocketReader} reader */
async function atOnce(reader) {
  const { ns } = await timed(() => reader.readInto(target));
  return ns;
}

/** @type {Record<'take' | 'gather' | 'sync' | 'release' | 'memcpy' | 'readInto', number[]>} */
const samples = { take: [], gather: [], sync: [], release: [], memcpy: [], readInto: [] };
/** @type {number[]} */
const runs = [];
for (let round = 0; round < all; round++) {
  const { runs: those, ...steps } = await withArrived((reader) => bySteps(reader, round));
  const times = { ...steps, readInto: await withArrived(atOnce) };
  if (round < WARM_UPS) continue;
  for (const [name, ns] of Object.entries(times)) {
    samples[/** @type {keyof typeof times} */ (name)].push(ns / BYTES);
  }
  runs.push(those.length);
}
await binding.close();
await memory.close();
await source.close();
await copying.close();
process.stdout.write(`${JSON.stringify({ ...samples, runs })}\n`);
