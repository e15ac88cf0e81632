// @ts-check
/** How fast streams are received over loopback, and at what cost. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { alternate } from '../lib/alternate.mjs';
import { compile } from '../lib/compile.mjs';
import { parseJson } from '../lib/json.mjs';
import { median, pairedRatio } from '../lib/statistics.mjs';
import { Worker } from '../lib/worker.mjs';
import { BUFFER, FILLERS, RECEIVERS, TARGET } from './receivers.mjs';

/** @typedef {import('./receiver.mjs').Sample} Sample */
/** @typedef {import('../peer/source.mjs').Source} Source */
/** @typedef {Record<string, Sample[]>} Samples */

const execute = promisify(execFile);
const RECEIVER = fileURLToPath(new URL('receiver.mjs', import.meta.url));

/**
 * Rounds of the same streams, received in all ways in turn.
 * @param {Source} source
 * @param {{ bytes: number, connections: number, rounds: number, note: (text: string) => void }} options
 *   bytes: of all connections together
 * @returns {Promise<Samples>}
 */
export async function measureThroughput(source, { bytes, connections, rounds, note }) {
  const each = Math.floor(bytes / connections);
  const recv = compile('recv', ['bench/host/recv.c']);
  const args = [source.host, source.port, each, connections, BUFFER].map(String);
  /** @type {Record<string, () => Promise<Sample>>} */
  const contenders = {
    c: async () => /** @type {Sample} */ (parseJson((await execute(recv, args)).stdout)),
  };
  for (const kind of Object.keys(RECEIVERS)) {
    contenders[kind] = () => receive(kind, source, { bytes: each, connections });
  }
  return alternate(contenders, rounds, (name, round) => {
    note(`${connections} connection(s), round ${round + 1} of ${rounds}: ${name}`);
  });
}

/**
 * Rounds of one stream, received to contiguous memory in all ways in turn.
 * @param {Source} source
 * @param {{ bytes: number, rounds: number, note: (text: string) => void }} options
 * @returns {Promise<Samples>}
 */
export async function measureFilling(source, { bytes, rounds, note }) {
  const recv = compile('recv', ['bench/host/recv.c']);
  const args = [source.host, source.port, bytes, 1, BUFFER, TARGET].map(String);
  /** @type {Record<string, () => Promise<Sample>>} */
  const contenders = {
    c: async () => /** @type {Sample} */ (parseJson((await execute(recv, args)).stdout)),
  };
  for (const kind of Object.keys(FILLERS)) {
    contenders[kind] = () => receive(kind, source, { bytes, connections: 1 });
  }
  return alternate(contenders, rounds, (name, round) => {
    note(`to contiguous memory, round ${round + 1} of ${rounds}: ${name}`);
  });
}

/**
 * GB/s and CPU seconds per GB of each, and the ratios that have targets.
 * @param {Samples} samples of measureFilling()
 */
export function fillingFigures({ c = [], readInto = [], netArrayBuffer = [] }) {
  return {
    readIntoGBps: median(readInto.map(rate)),
    readIntoCpuPerGB: median(readInto.map(cpu)),
    readIntoVsC: pairedRatio(readInto.map(rate), c.map(rate)),
    readIntoCpuVsC: pairedRatio(readInto.map(cpu), c.map(cpu)),
    readIntoVsArrayBuffer: pairedRatio(readInto.map(rate), netArrayBuffer.map(rate)),
    readIntoCpuVsArrayBuffer: pairedRatio(readInto.map(cpu), netArrayBuffer.map(cpu)),
  };
}

/**
 * One sample, by a process of its own: where its allocator happens to put buffers makes
 * one that reads with net.Socket twice as fast as another, for as long as it lives.
 * @param {string} kind of `RECEIVERS`
 * @param {Source} source
 * @param {{ bytes: number, connections: number }} task
 * @returns {Promise<Sample>}
 */
async function receive(kind, source, task) {
  const worker = new Worker(RECEIVER, [kind, source.host, source.port]);
  // Its code compiled, its memory touched.
  await worker.ask({ ...task, bytes: Math.floor(task.bytes / 4) });
  const sample = await worker.ask(task);
  await worker.close();
  return /** @type {Sample} */ (sample);
}

/** @param {Sample} sample */
export const rate = ({ bytes, seconds }) => bytes / 1e9 / seconds;
/** @param {Sample} sample */
export const cpu = ({ bytes, user, system }) => (user + system) / (bytes / 1e9);

/**
 * GB/s and CPU seconds per GB of each, and the ratios that have targets.
 * @param {Samples} samples
 * @param {number} connections
 */
export function throughputFigures(samples, connections) {
  /** @type {Record<string, number>} */
  const figures = {};
  for (const [name, values] of Object.entries(samples)) {
    figures[`${name}${connections}GBps`] = median(values.map(rate));
    figures[`${name}${connections}CpuPerGB`] = median(values.map(cpu));
  }
  const suffix = connections === 1 ? '' : String(connections);
  const { c = [], batches = [], netData = [], netOnread = [], netOnreadShared = [] } = samples;
  figures[`copyVsC${suffix}`] = pairedRatio(batches.map(rate), c.map(rate));
  figures[`cpuVsC${suffix}`] = pairedRatio(batches.map(cpu), c.map(cpu));
  figures[`copyVsNetSocket${suffix}`] = pairedRatio(batches.map(rate), netData.map(rate));
  figures[`cpuVsNetSocket${suffix}`] = pairedRatio(batches.map(cpu), netData.map(cpu));
  figures[`copyVsOnread${suffix}`] = pairedRatio(batches.map(rate), netOnread.map(rate));
  figures[`cpuVsOnread${suffix}`] = pairedRatio(batches.map(cpu), netOnread.map(cpu));
  const shared = netOnreadShared;
  figures[`copyVsOnreadShared${suffix}`] = pairedRatio(batches.map(rate), shared.map(rate));
  figures[`cpuVsOnreadShared${suffix}`] = pairedRatio(batches.map(cpu), shared.map(cpu));
  return figures;
}

/**
 * Resident memory over a long stream, in steps: MiB after each.
 * @param {Source} source
 * @param {{ bytes: number, steps: number, note: (text: string) => void }} options
 */
export async function measureGrowth(source, { bytes, steps, note }) {
  const worker = new Worker(RECEIVER, ['batches', source.host, source.port]);
  const task = { bytes: Math.floor(bytes / steps), connections: 1 };
  await worker.ask(task);
  const resident = [];
  for (let step = 0; step < steps; step++) {
    note(`${(bytes / 2 ** 30).toFixed(0)} GiB, part ${step + 1} of ${steps}`);
    resident.push(/** @type {Sample} */ (await worker.ask(task)).rssMiB);
  }
  await worker.close();
  return resident;
}
