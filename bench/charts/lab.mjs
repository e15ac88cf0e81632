// @ts-check
/** The devmem path beside C. */
import { bar, ratios } from './bars.mjs';

/** @typedef {import('../lib/svg.mjs').Chart} Chart */
/** @typedef {import('../lib/environment.mjs').Environment} Environment */
/** @typedef {import('../lab/streams.mjs').Sample} LabSample */
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
export function drawLab(result) {
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
        ['instructions, both at marks', 'cpuVsCMarked'],
        ["take and copy, of memcpy's", 'gatherVsMemcpy'],
        ['the copy alone', 'gatherAloneVsMemcpy'],
      ]),
    ],
    note: `Emulated on ${environment.cpu}: guest Linux ${streams.kernel}, Node.js ${environment.node}, ${environment.commit}, ${environment.date.slice(0, 10)}. Lines: quartiles; red: target.`,
  };
}
