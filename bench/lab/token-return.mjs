// @ts-check
// What a fragment costs: telling user space of it, and giving it back, by control messages
// and SO_DEVMEM_DONTNEED, by a generic netlink command in place of that call (an experiment,
// netlink-return), by a ring to give back by, and by a ring of fragments as well; on one
// kernel after the other.
//
//   node bench/lab/token-return.mjs [KERNEL…]
//
// By default patched-7 and the same kernel with one part of the token queue series after the
// other: slots-7, bulk-7, and queue-7 with all of it. That is kept in bench/results.
//
// Time counts instructions in these guests, a nanosecond each, on one CPU.
import { fileURLToPath } from 'node:url';

import { prepareLab } from '../../kernel/lab/run.mjs';
import { compile } from '../lib/compile.mjs';
import { describeEnvironment } from '../lib/environment.mjs';
import { keep } from '../lib/report.mjs';
import { median, spread } from '../lib/statistics.mjs';
import { compileSource } from '../peer/source.mjs';
import { runInGuest } from './guest.mjs';

/** @typedef {import('./tokens.mjs').Sample} Sample */
/** @typedef {import('./tokens.mjs').Samples} Samples */

/** The experiment's module. */
const NETLINK_RETURN = fileURLToPath(new URL('netlink-return', import.meta.url));
const DEFAULT_KERNELS = ['patched-7', 'slots-7', 'bulk-7', 'queue-7'];
const MIB = 4;
const ROUNDS = 7;

/** @type {Record<string, (sample: Sample) => number>} per fragment */
const PARTS = {
  receiving: ({ receiving, fragments }) => receiving / fragments,
  looking: ({ looking, fragments }) => looking / fragments,
  returning: ({ returning, fragments }) => returning / fragments,
  all: ({ receiving, looking, returning, fragments }) =>
    (receiving + looking + returning) / fragments,
};

const programs = [compileSource(), compile('tokens', ['bench/lab/tokens.c'])];
const named = process.argv.slice(2);
const kernels = named.length > 0 ? named : DEFAULT_KERNELS;
/** @type {Record<string, Samples>} */
const samples = {};
for (const kernel of kernels) {
  const { module = '' } = await prepareLab({ kernel, driver: NETLINK_RETURN });
  const args = [...programs, module, String(MIB), String(ROUNDS)];
  samples[kernel] = /** @type {Samples} */ (
    await runInGuest('tokens.mjs', args, { kernel, icount: true })
  );
}
console.table(Object.fromEntries(Object.entries(samples).flatMap(rowsOf)));
if (named.length === 0) keep('token-return', { environment: describeEnvironment(), samples });

/** @param {[kernel: string, samples: Samples]} entry */
function rowsOf([kernel, ofKernel]) {
  return Object.entries(ofKernel).flatMap(([kind, ways]) =>
    Object.entries(ways).map(([way, ofWay]) => [`${kernel}, ${kind}, ${way}`, rowOf(ofWay)]),
  );
}

/** @param {readonly Sample[]} ofWay */
function rowOf(ofWay) {
  /** @type {Record<string, string>} */
  const row = {};
  for (const [part, value] of Object.entries(PARTS))
    row[part] = median(ofWay.map(value)).toFixed(0);
  row.spread = spread(ofWay.map((sample) => PARTS.all?.(sample) ?? NaN)).toFixed(3);
  row.fragments = median(ofWay.map(({ fragments }) => fragments)).toFixed(0);
  row['fragments a call'] = median(
    ofWay.map(({ fragments, receiveCalls }) => fragments / receiveCalls),
  ).toFixed(0);
  row['return calls a MiB'] = median(
    ofWay.map(({ returnCalls, bytes }) => (returnCalls * 2 ** 20) / bytes),
  ).toFixed(2);
  return row;
}
