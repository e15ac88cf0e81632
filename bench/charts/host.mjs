// @ts-check
/** The copy transport beside C and net.Socket. */
import { bar, ratios, where } from './bars.mjs';

/** @typedef {import('../lib/svg.mjs').Chart} Chart */
/** @typedef {import('../lib/environment.mjs').Environment} Environment */
/** @typedef {import('../host/receiver.mjs').Sample} StreamSample */
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
export function drawHost(result) {
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
