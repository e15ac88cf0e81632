// @ts-check
/**
 * The kernel's devmem path, its token queue and io_uring's zero-copy receive, each by this
 * package and in C: `npm run bench -- compare`. One kernel, 7.3 with the queue; one guest with
 * two CPUs, for throughput, and one whose clock counts instructions.
 */
import { compile } from '../lib/compile.mjs';
import { median, pairedRatio } from '../lib/statistics.mjs';
import { compileSource } from '../peer/source.mjs';
import { runInGuest } from './guest.mjs';

/** @typedef {import('./transports.mjs').Contender} Contender */
/** @typedef {import('./transports.mjs').TransportPlan} TransportPlan */
/** @typedef {import('./transports.mjs').TransportSample} TransportSample */
/** @typedef {import('./transports.mjs').TransportSamples} TransportSamples */
/** @typedef {Record<string, number[]>} ColdStarts milliseconds */

const KERNEL = 'queue-7';
const MiB = 2 ** 20;
const MTUS = [1500, 9000];
/** What a guest needs for all of it: an rx queue for each, and patience in seconds. */
const NEEDS = { sim: 'queues=5 header_split=1', timeoutSeconds: 3600 };

/** @type {readonly Contender[]} */
export const CONTENDERS = ['cmsgC', 'cmsg', 'queueC', 'queue', 'zcrxC', 'zcrx'];

export const compilePrograms = () => ({
  source: compileSource(),
  cmsgReceiver: compile('receiver', ['bench/lab/receiver.c']),
  queueReceiver: compile('queue_receiver', ['bench/lab/queue_receiver.c']),
  zcrxReceiver: compile('zcrx_receiver', ['bench/lab/zcrx_receiver.c']),
});

/**
 * @param {Partial<TransportPlan> & Pick<TransportPlan, 'settings'>} plan
 * @param {Partial<import('../../kernel/lab/run.mjs').RunOptions>} [options]
 */
export async function runTransports(plan, options) {
  const defaults = { memoryMiB: 32, calls: false, contenders: CONTENDERS };
  const args = [JSON.stringify({ ...compilePrograms(), ...defaults, ...plan })];
  const all = { kernel: KERNEL, ...NEEDS, ...options };
  return /** @type {TransportSamples} */ (await runInGuest('transports.mjs', args, all));
}

/**
 * @param {{ quick: boolean, note: (text: string) => void }} options
 * @returns {Promise<import('../lib/report.mjs').Outcome>}
 */
export async function compare({ quick, note }) {
  note('streams');
  const streams = await runTransports({ settings: settings(quick, [1, 4, 64]) });
  note('streams again, where time is counted in instructions, and system calls');
  const counted = await runTransports(
    {
      calls: true,
      settings: settings(quick, [1]),
    },
    { icount: true },
  );
  note('cold starts');
  const { source, zcrxReceiver } = compilePrograms();
  const cold = /** @type {ColdStarts} */ (
    await runInGuest('cold.mjs', [source, quick ? '2' : '7', 'devmem,zcrx,zcrxC', zcrxReceiver], {
      kernel: KERNEL,
      ...NEEDS,
    })
  );
  return { figures: figuresOf(streams, counted, cold), samples: { streams, counted, cold } };
}

/**
 * @param {TransportSamples} streams
 * @param {TransportSamples} counted
 * @param {ColdStarts} cold
 */
export function figuresOf(streams, counted, cold) {
  return {
    ...ratios(streams, counted),
    ...settingFigures(streams, THROUGHPUT),
    ...settingFigures(counted, COSTS),
    ...Object.fromEntries(
      Object.entries(cold).map(([name, times]) => [`coldStartMs_${name}`, median(times)]),
    ),
  };
}

/**
 * @param {boolean} quick
 * @param {readonly number[]} holding numbers of connections whose consumers hold half of the memory
 * @returns {TransportPlan['settings']}
 */
function settings(quick, holding) {
  const loads = [false, true].flatMap((holds) =>
    MTUS.flatMap((mtu) =>
      (holds ? holding : [1, 4, 64]).map((connections) => ({ mtu, connections, holds })),
    ),
  );
  return loads.map((load, index) => ({
    ...load,
    MiB: quick ? 32 : 128,
    rounds: quick ? 1 : 3,
    // Emulated, and beside a sender, a compiler takes its time: 2 GiB or so.
    warmUps: quick || index > 0 ? 1 : 16,
  }));
}

/** @param {TransportSample} sample */
export const rate = ({ bytes, seconds }) => bytes / MiB / seconds;

/** @type {Record<string, (sample: TransportSample) => number>} */
const THROUGHPUT = {
  MiBps: rate,
  FragsPerWake: ({ frags, wakes }) => frags / wakes,
};

/**
 * Where a second is a thousand million instructions: those of the whole guest, with the
 * sender's, the NIC's and TCP's, which are the same for all. By process they say less: whoever
 * is woken more often does more of TCP's work in its own name.
 *
 * @type {typeof THROUGHPUT}
 */
const COSTS = {
  Instructions: ({ seconds, frags }) => (seconds * 1e9) / frags,
  CallsPerMiB: ({ calls, bytes }) => ((calls ?? NaN) * MiB) / bytes,
};

/**
 * @param {TransportSamples} streams
 * @param {TransportSamples} counted
 */
function ratios(streams, counted) {
  const { Instructions: cost = rate } = COSTS;
  return {
    cmsgBatchVsC: ratio(streams, 'cmsg', 'cmsgC', rate),
    queueBatchVsC: ratio(streams, 'queue', 'queueC', rate),
    zcrxBatchVsC: ratio(streams, 'zcrx', 'zcrxC', rate),
    queueVsCmsg: ratio(streams, 'queue', 'cmsg', rate),
    queueVsCmsgInC: ratio(streams, 'queueC', 'cmsgC', rate),
    zcrxVsCmsg: ratio(streams, 'zcrx', 'cmsg', rate),
    zcrxVsCmsgInC: ratio(streams, 'zcrxC', 'cmsgC', rate),
    queueCostVsC: ratio(counted, 'queue', 'queueC', cost),
    queueCostVsCmsg: ratio(counted, 'queue', 'cmsg', cost),
    queueCostVsCmsgInC: ratio(counted, 'queueC', 'cmsgC', cost),
    zcrxCostVsC: ratio(counted, 'zcrx', 'zcrxC', cost),
    zcrxCostVsCmsg: ratio(counted, 'zcrx', 'cmsg', cost),
    zcrxCostVsCmsgInC: ratio(counted, 'zcrxC', 'cmsgC', cost),
  };
}

/**
 * The median of the ratios of neighbouring samples, of all settings.
 *
 * @param {TransportSamples} samples
 * @param {Contender} one
 * @param {Contender} other
 * @param {(sample: TransportSample) => number} figure
 */
export function ratio({ results }, one, other, figure) {
  const all = (/** @type {Contender} */ name) =>
    results.flatMap(({ samples }) => (samples[name] ?? []).map(figure));
  return pairedRatio(all(one), all(other));
}

/**
 * By contender, MTU, number of connections and consumer.
 *
 * @param {TransportSamples} samples
 * @param {typeof THROUGHPUT} figures
 */
function settingFigures({ results }, figures) {
  /** @type {Record<string, number>} */
  const all = {};
  for (const { mtu, connections, holds, samples, counted } of results) {
    for (const [name, values] of Object.entries(samples)) {
      const prefix = `${name}Mtu${mtu}x${connections}${holds ? 'Held' : ''}`;
      for (const [what, figure] of Object.entries(figures)) {
        const own = values.map(figure).filter(Number.isFinite);
        const alone = counted[name];
        all[prefix + what] = own.length > 0 ? median(own) : alone ? figure(alone) : NaN;
      }
    }
  }
  return all;
}
