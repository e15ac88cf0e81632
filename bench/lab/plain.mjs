// @ts-check
// What the receive path into device memory costs those who do not use it: instructions,
// of both ends and the kernel together, that an ordinary TCP stream takes on one kernel
// after the other, and their ratio to the first.
//
//   node bench/lab/plain.mjs [KERNEL…]    by default 6.1 without patches, with the
//                                         patches' symbol off, and on
//
// Time counts instructions in these guests, a nanosecond each, on one CPU.
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { runInLab } from '../../kernel/lab/run.mjs';
import { compile } from '../lib/compile.mjs';
import { parseJson } from '../lib/json.mjs';
import { median } from '../lib/statistics.mjs';
import { compileSource } from '../peer/source.mjs';

const MIB = 32;
const ROUNDS = 7;
/** By what plain.sh calls them. */
const KINDS = Object.freeze({ mtu: 'packets of 1500 bytes', super: 'super-packets' });

const programs = [compileSource(), compile('recv', ['bench/host/recv.c'])];

/**
 * @param {string} kernel
 * @returns {Promise<Map<string, number[]>>} instructions per KiB, by kind of packets
 */
async function measure(kernel) {
  const script = fileURLToPath(new URL('plain.sh', import.meta.url));
  const stdout = new PassThrough();
  const output = text(stdout);
  const { status } = await runInLab({
    kernel,
    icount: true,
    withSim: false,
    command: ['sh', script, ...programs, String(MIB), String(ROUNDS)],
    stdout,
  });
  stdout.end();
  if (status !== 0) throw new Error(`plain.sh failed on ${kernel} with status ${status}`);
  /** @type {Map<string, number[]>} */
  const samples = new Map(Object.keys(KINDS).map((kind) => [kind, []]));
  for (const line of (await output).trimEnd().split('\n')) {
    const [kind = '', json = ''] = line.split(/ (.*)/);
    const { seconds } = /** @type {{ seconds: number }} */ (parseJson(json));
    samples.get(kind)?.push((seconds * 1e9) / (MIB * 1024));
  }
  return samples;
}

const named = process.argv.slice(2);
const kernels = named.length > 0 ? named : ['plain-6.1', 'off-6.1', 'patched-6.1'];
/** @type {Record<string, Record<string, string>>} */
const rows = {};
/** @type {Map<string, number>} */
const first = new Map();
for (const kernel of kernels) {
  const samples = await measure(kernel);
  /** @type {Record<string, string>} */
  const row = (rows[kernel] = {});
  for (const [kind, title] of Object.entries(KINDS)) {
    const values = samples.get(kind) ?? [];
    const value = median(values);
    if (!first.has(kind)) first.set(kind, value);
    const spread = (Math.max(...values) - Math.min(...values)) / value;
    row[`${title}: instructions/KiB`] = value.toFixed(0);
    row[`${kind}: of the first`] = (value / (first.get(kind) ?? value)).toFixed(4);
    row[`${kind}: spread`] = spread.toFixed(4);
  }
}
console.table(rows);
