// @ts-check
// What a fragment costs: telling user space of it, and giving it back, by control messages
// and SO_DEVMEM_DONTNEED, by a ring to give back by, and by a ring of fragments as well; on
// one kernel after the other.
//
//   node bench/lab/token-return.mjs [KERNEL…]    by default debian-7, patched-7 and queue-7
//
// Time counts instructions in these guests, a nanosecond each, on one CPU.
import { compile } from '../lib/compile.mjs';
import { median, spread } from '../lib/statistics.mjs';
import { compileSource } from '../peer/source.mjs';
import { runInGuest } from './guest.mjs';

/** @typedef {import('./tokens.mjs').Sample} Sample */
/** @typedef {import('./tokens.mjs').Samples} Samples */

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
const kernels = named.length > 0 ? named : ['debian-7', 'patched-7', 'queue-7'];
/** @type {Record<string, Record<string, string>>} */
const rows = {};
for (const kernel of kernels) {
  const args = [...programs, String(MIB), String(ROUNDS)];
  const samples = /** @type {Samples} */ (
    await runInGuest('tokens.mjs', args, { kernel, icount: true })
  );
  for (const [kind, ways] of Object.entries(samples)) {
    for (const [way, ofWay] of Object.entries(ways)) {
      /** @type {Record<string, string>} */
      const row = (rows[`${kernel}, ${kind}, ${way}`] = {});
      for (const [part, value] of Object.entries(PARTS)) {
        row[part] = median(ofWay.map(value)).toFixed(0);
      }
      row.spread = spread(ofWay.map((sample) => PARTS.all?.(sample) ?? NaN)).toFixed(3);
      row.fragments = median(ofWay.map(({ fragments }) => fragments)).toFixed(0);
      row['fragments a call'] = median(
        ofWay.map(({ fragments, receiveCalls }) => fragments / receiveCalls),
      ).toFixed(0);
      row['return calls a MiB'] = median(
        ofWay.map(({ returnCalls, bytes }) => (returnCalls * 2 ** 20) / bytes),
      ).toFixed(2);
    }
  }
}
console.table(rows);
