// @ts-check
// What busy polling brings on the devmem path: the streams of `npm run bench -- lab`,
// with and without it, in one guest. Prints throughput, CPU and ratios.
//
//   node bench/lab/busy-poll.mjs
import { compile } from '../lib/compile.mjs';
import { median, pairedRatio } from '../lib/statistics.mjs';
import { compileSource } from '../peer/source.mjs';
import { runInGuest } from './guest.mjs';

/** @typedef {import('./streams.mjs').Sample} Sample */
/** @typedef {import('./streams.mjs').Plan} Plan */

const MiB = 2 ** 20;
const SIZE = 128;

/** @type {Plan} */
const plan = {
  source: compileSource(),
  receiver: compile('receiver', ['bench/lab/receiver.c']),
  memoryMiB: 256,
  contenders: ['c', 'cBusyPolling', 'batches', 'batchesBusyPolling'],
  settings: [
    { mtu: 1500, connections: 1, MiB: SIZE, rounds: 9, warmUps: 8 },
    { mtu: 1500, connections: 4, MiB: SIZE, rounds: 9, warmUps: 4 },
  ],
};

/** @param {Sample} sample MiB/s */
const rate = ({ bytes, seconds }) => bytes / MiB / seconds;
/** @param {Sample} sample microseconds a fragment */
const cpu = ({ user, system, frags }) => ((user + system) * 1e6) / frags;
/** @param {Sample} sample */
const fragsPerWake = ({ frags, waitCalls }) => frags / waitCalls;

/** @typedef {{ results: { connections: number, samples: Record<string, Sample[]> }[] }} Streams */
const streams = /** @type {Streams} */ (await runInGuest('streams.mjs', [JSON.stringify(plan)]));
for (const { connections, samples } of streams.results) {
  for (const name of ['c', 'batches']) {
    const without = samples[name] ?? [];
    const polling = samples[`${name}BusyPolling`] ?? [];
    const pair = (/** @type {(sample: Sample) => number} */ of, digits = 0) =>
      [without, polling].map((each) => median(each.map(of)).toFixed(digits)).join(' -> ');
    process.stdout.write(
      `${connections} connection(s), ${name}: ${pair(rate)} MiB/s (${pairedRatio(polling.map(rate), without.map(rate)).toFixed(3)}), ` +
        `${pair(cpu, 2)} us a fragment (${pairedRatio(polling.map(cpu), without.map(cpu)).toFixed(3)}), ${pair(fragsPerWake)} fragments a wake\n`,
    );
  }
}
