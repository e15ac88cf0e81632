// @ts-check
/** The transports beside each other. */
import { bar } from './bars.mjs';

/** @typedef {import('../lib/svg.mjs').Chart} Chart */
/** @typedef {import('../lib/environment.mjs').Environment} Environment */
/** @typedef {import('../lab/transports.mjs').TransportSamples} TransportSamples */
/** @typedef {import('../lab/transports.mjs').TransportSample} TransportSample */
/** @typedef {Record<string, number> & { environment: Environment, samples: { streams: TransportSamples, counted: TransportSamples } }} CompareResult */

/** @type {readonly [name: string, label: string, color: number][]} */
const TRANSPORT_KINDS = [
  ['cmsgC', 'cmsg, C', 1],
  ['cmsg', 'cmsg, batches', 0],
  ['queueC', 'queue, C', 1],
  ['queue', 'queue, batches', 3],
  ['zcrxC', 'zcrx, C', 1],
  ['zcrx', 'zcrx, batches', 2],
];

/**
 * @param {CompareResult} result
 * @returns {Chart}
 */
export function drawCompare({ environment, samples: { streams, counted } }) {
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
  const cost = (/** @type {TransportSample} */ { seconds, frags }) => (seconds * 1e6) / frags;
  return {
    title: 'The devmem path, its token queue and io_uring in the lab',
    legend: [],
    panels: [
      ...panels(streams, 'MiB/s', rate),
      ...panels(counted, 'Thousand instructions of the guest per fragment, sender and all', cost),
    ],
    note: `Emulated on ${environment.cpu}: guest Linux ${streams.kernel}, Node.js ${environment.node}, ${environment.commit}, ${environment.date.slice(0, 10)}. Lines: quartiles.`,
  };
}
