// @ts-check
// Draws bench/results/*.svg from those of bench/results/*.json that are there:
//
//   npm run bench:plot
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { readResult, RESULTS } from './lib/report.mjs';
import { median, quantile } from './lib/statistics.mjs';
import { barChart } from './lib/svg.mjs';
import { TARGETS } from './lib/targets.mjs';

/** @typedef {import('./lib/svg.mjs').Bar} Bar */
/** @typedef {import('./lib/svg.mjs').Chart} Chart */
/** @typedef {import('./lib/environment.mjs').Environment} Environment */

const target = (/** @type {string} */ key) => TARGETS.find((each) => each.key === key)?.limit;

/**
 * @param {string} label
 * @param {readonly number[]} samples
 * @param {{ target?: number | undefined, color?: number }} [more]
 * @returns {Bar}
 */
function bar(label, samples, more = {}) {
  return {
    label,
    parts: [median(samples)],
    low: quantile(samples, 0.25),
    high: quantile(samples, 0.75),
    ...(more.target !== undefined && { target: more.target }),
    color: more.color ?? 0,
  };
}

/**
 * Those of the figures that are there and are ratios, with the targets that they have.
 * @param {Record<string, number>} figures
 * @param {string} suite
 * @param {string} title
 * @param {readonly (readonly [label: string, name: string])[]} rows
 */
const ratios = (figures, suite, title, rows) => ({
  title,
  bars: rows.flatMap(([label, name]) => {
    const { [name]: value } = figures;
    if (value === undefined) return [];
    return [bar(label, [value], { target: target(`${suite}.${name}`), color: 4 })];
  }),
});

/** @param {Environment} environment */
const where = ({ cpu, kernel, node, commit, date }) =>
  `${cpu}, Linux ${kernel}, Node.js ${node}, ${commit}, ${date.slice(0, 10)}. Lines: quartiles; red: target.`;

/** @typedef {Record<string, number[]>} Series */
/** @typedef {{ environment: Environment, samples: { javascript: Series, native: Series, paths: Record<string, Series> } }} MicroResult */

/**
 * @param {MicroResult} result
 * @returns {Chart}
 */
function drawMicro({ environment, samples: { javascript, native, paths } }) {
  /**
   * @param {string} label
   * @param {number[] | undefined} samples
   * @param {string} [key]
   */
  const row = (label, samples = [], key = '') => bar(label, samples, { target: target(key) });
  return {
    title: 'What a fragment costs, in nanoseconds',
    legend: [],
    panels: [
      {
        title: 'ns per fragment, by way of reading',
        bars: [
          bar('an empty loop', javascript.emptyLoop ?? [], { color: 1 }),
          row('batch.forEach()', javascript.forEach, 'micro.forEachNs'),
          row('batch.offset(i), batch.size(i)', javascript.accessors),
          row('for…of a batch', javascript.batchOf, 'micro.batchOfNs'),
          row('for await of a socket', javascript.fragIter, 'micro.fragIterNs'),
          bar('the same, of nothing', javascript.emptyIter ?? [], { color: 1 }),
        ],
      },
      {
        title: 'ns per fragment, in native code',
        bars: [
          row('parsing its record', native.parse, 'micro.parseNs'),
          row('batch.release()', paths[64]?.release, 'micro.releaseNs'),
          row('one by one, shuffled', paths[64]?.releaseShuffled),
        ],
      },
      {
        title: 'ns per fragment, wake to release, kernel aside (red: 200 Gbit/s)',
        bars: Object.entries(paths).flatMap(([batch, path]) => [
          bar(`batches of ${batch}`, path.batches ?? [], { target: 164 }),
          bar(`the same, for await`, path.fragments ?? [], { target: 164, color: 2 }),
        ]),
      },
    ],
    note: where(environment),
  };
}

/** @typedef {import('./host/receiver.mjs').Sample} StreamSample */
/** @typedef {Record<string, StreamSample[]>} StreamSamples */
/** @typedef {Record<string, number> & { environment: Environment, samples: { streams: Record<string, StreamSamples> } }} HostResult */

/** @type {readonly [streams: string, label: string][]} */
const HOST_STREAMS = [
  ['one', '1 connection'],
  ['eight', '8 connections'],
  ['sixtyFour', '64 connections'],
];

/** @type {readonly [kind: string, label: string, color: number][]} */
const HOST_KINDS = [
  ['c', 'C, recv()', 1],
  ['batches', 'devmem-tcp, batches', 0],
  ['fragments', 'devmem-tcp, fragments', 0],
  ['netOnread', 'net.Socket, onread', 2],
  ['netOnreadShared', 'net.Socket, onread, shared', 2],
  ['netData', "net.Socket, 'data'", 2],
  ['netIteration', 'net.Socket, for await', 2],
];

/**
 * @param {HostResult} result
 * @returns {Chart}
 */
function drawHost(result) {
  const { environment, samples } = result;
  const { streams } = samples;
  /**
   * @param {string} title
   * @param {(sample: StreamSample) => number} figure
   */
  const panels = (title, figure) =>
    HOST_STREAMS.filter(([name]) => name in streams).map(([name, connections]) => ({
      title: `${title}, ${connections}`,
      bars: HOST_KINDS.map(([kind, label, color]) =>
        bar(label, (streams[name]?.[kind] ?? []).map(figure), { color }),
      ),
    }));
  const rate = (/** @type {StreamSample} */ { bytes, seconds }) => bytes / 1e9 / seconds;
  const cpu = (/** @type {StreamSample} */ { bytes, user, system }) =>
    ((user + system) * 1e9) / bytes;
  return {
    title: 'The copy transport over loopback',
    legend: [],
    panels: [
      ...panels('GB/s', rate),
      ...panels('CPU seconds per GB', cpu),
      ratios(result, 'host', 'Ratios of neighbouring samples, batches, 1 connection', [
        ["throughput, of C's", 'copyVsC'],
        ["throughput, of net.Socket's", 'copyVsNetSocket'],
        ["CPU per GB, of net.Socket's", 'cpuVsNetSocket'],
      ]),
      ratios(result, 'host', "Batches, of net.Socket's onread", [
        ['throughput, 1 connection', 'copyVsOnread'],
        ['throughput, 8', 'copyVsOnread8'],
        ['throughput, 64', 'copyVsOnread64'],
        ['CPU per GB, 1 connection', 'cpuVsOnread'],
        ['CPU per GB, 8', 'cpuVsOnread8'],
        ['CPU per GB, 64', 'cpuVsOnread64'],
      ]),
      ratios(result, 'host', "Batches, of onread's with one buffer for all", [
        ['throughput, 1 connection', 'copyVsOnreadShared'],
        ['throughput, 8', 'copyVsOnreadShared8'],
        ['throughput, 64', 'copyVsOnreadShared64'],
        ['CPU per GB, 1 connection', 'cpuVsOnreadShared'],
        ['CPU per GB, 8', 'cpuVsOnreadShared8'],
        ['CPU per GB, 64', 'cpuVsOnreadShared64'],
      ]),
    ],
    note: where(environment),
  };
}

/** @typedef {import('./lab/streams.mjs').Sample} LabSample */
/** @typedef {{ mtu: number, connections: number, samples: Record<string, LabSample[]> }} Setting */
/** @typedef {{ kernel: string, results: Setting[] }} LabStreams */
/** @typedef {Record<string, number> & { environment: Environment, samples: { streams: LabStreams, counted: LabStreams, ncdevmem: Record<string, number[]> } }} LabResult */

/** @type {readonly [kind: string, label: string, color: number][]} */
const LAB_KINDS = [
  ['c', 'C', 1],
  ['batches', 'devmem-tcp, batches', 0],
  ['fragments', 'devmem-tcp, fragments', 3],
];
/** The same, both at marks of 1 MiB. @type {typeof LAB_KINDS} */
const LAB_MARKED_KINDS = [
  ['cMarked', 'C, SO_RCVLOWAT', 1],
  ['batchesMarked', 'devmem-tcp, lowWaterMark', 0],
];

/**
 * @param {LabResult} result
 * @returns {Chart}
 */
function drawLab(result) {
  const { environment, samples } = result;
  const { streams, counted, ncdevmem } = samples;
  const rate = (/** @type {LabSample} */ { bytes, seconds }) => bytes / 2 ** 20 / seconds;
  const throughput = streams.results.map(({ mtu, connections, samples }) => ({
    title: `MiB/s, MTU ${mtu}, ${connections === 1 ? '1 connection' : `${connections} connections`}`,
    bars: LAB_KINDS.map(([kind, label, color]) =>
      bar(label, (samples[kind] ?? []).map(rate), { color }),
    ),
  }));
  const cost = counted.results.map(({ samples }) => ({
    title: 'Thousand instructions of the receiving process per fragment',
    bars: [...LAB_KINDS, ...LAB_MARKED_KINDS].map(([kind, label, color]) => {
      const each = (samples[kind] ?? []).map(
        ({ user, system, frags }) => ((user + system) * 1e6) / frags,
      );
      return bar(label, each, { color });
    }),
  }));
  return {
    title: 'The devmem path in the lab',
    legend: [],
    panels: [
      ...throughput,
      {
        title: 'MiB/s as the sender sees it, 1 queue, 64 MiB of memory',
        bars: [
          bar('ncdevmem', ncdevmem.ncdevmem ?? [], { color: 1 }),
          bar('devmem-tcp, batches', ncdevmem.batches ?? []),
        ],
      },
      ...cost,
      ratios(result, 'lab', 'Ratios of neighbouring samples, batches', [
        ["throughput, of C's", 'batchVsC'],
        ["instructions, of C's", 'cpuVsC'],
        ["instructions at marks, of C's there", 'cpuVsCMarked'],
        ["throughput, of ncdevmem's", 'vsNcdevmem'],
      ]),
    ],
    note: `Emulated on ${environment.cpu}: guest Linux ${streams.kernel}, Node.js ${environment.node}, ${environment.commit}, ${environment.date.slice(0, 10)}. Lines: quartiles; red: target.`,
  };
}

/** @typedef {import('./lab/transports.mjs').TransportSamples} TransportSamples */
/** @typedef {import('./lab/transports.mjs').TransportSample} TransportSample */
/** @typedef {Record<string, number> & { environment: Environment, samples: { streams: TransportSamples, counted: TransportSamples } }} CompareResult */

/** @type {readonly [name: string, label: string, color: number][]} */
const TRANSPORT_KINDS = [
  ['cmsgC', 'cmsg, C', 1],
  ['cmsg', 'cmsg, batches', 0],
  ['zcrxC', 'zcrx, C', 1],
  ['zcrx', 'zcrx, batches', 2],
];

/**
 * @param {CompareResult} result
 * @returns {Chart}
 */
function drawCompare({ environment, samples: { streams, counted } }) {
  /**
   * @param {TransportSamples} from
   * @param {string} what
   * @param {(sample: TransportSample) => number} figure
   */
  const panels = (from, what, figure) =>
    from.results.map(({ mtu, connections, holds, samples }) => ({
      title: `${what}, MTU ${mtu}, ${connections} connection${connections === 1 ? '' : 's'}${holds ? ', half of the memory held' : ''}`,
      bars: TRANSPORT_KINDS.map(([name, label, color]) =>
        bar(label, (samples[name] ?? []).map(figure), { color }),
      ),
    }));
  const rate = (/** @type {TransportSample} */ { bytes, seconds }) => bytes / 2 ** 20 / seconds;
  const cost = (/** @type {TransportSample} */ { user, system, frags }) =>
    ((user + system) * 1e6) / frags;
  return {
    title: 'The devmem path and io_uring in the lab',
    legend: [],
    panels: [
      ...panels(streams, 'MiB/s', rate),
      ...panels(counted, 'Thousand instructions of the receiving process per fragment', cost),
    ],
    note: `Emulated on ${environment.cpu}: guest Linux ${streams.kernel}, Node.js ${environment.node}, ${environment.commit}, ${environment.date.slice(0, 10)}. Lines: quartiles.`,
  };
}

/** @type {Record<string, () => Chart>} */
const CHARTS = {
  micro: () => drawMicro(/** @type {MicroResult} */ (readResult('micro'))),
  host: () => drawHost(/** @type {HostResult} */ (readResult('host'))),
  lab: () => drawLab(/** @type {LabResult} */ (readResult('lab'))),
  compare: () => drawCompare(/** @type {CompareResult} */ (readResult('compare'))),
};

for (const [name, draw] of Object.entries(CHARTS)) {
  if (!existsSync(path.join(RESULTS, `${name}.json`))) continue;
  const file = path.join(RESULTS, `${name}.svg`);
  writeFileSync(file, barChart(draw()));
  process.stdout.write(`${path.relative('', file)}\n`);
}
