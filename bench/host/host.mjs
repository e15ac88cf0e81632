// @ts-check
/** The copy transport over loopback, at the machine's own speed. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { parseJson } from '../lib/json.mjs';
import { median, pairedRatio } from '../lib/statistics.mjs';
import { compileSource, startSource } from '../peer/source.mjs';
import { idleFigures, measureIdle } from './idle.mjs';
import {
  fillingFigures,
  measureFilling,
  measureGrowth,
  measureThroughput,
  throughputFigures,
} from './throughput.mjs';

/** @typedef {{ p50: number, p99: number }} Latency */
/** @typedef {{ copy: Latency[], netSocket: Latency[] }} Latencies */

const execute = promisify(execFile);
const LATENCY = fileURLToPath(new URL('latency.mjs', import.meta.url));
const GiB = 2 ** 30;
const HOST = '127.0.0.1';

const FULL = {
  streams: { bytes: 2 * GiB, rounds: 9 },
  growth: { bytes: 100 * GiB, steps: 20 },
  latency: { rounds: 15, trips: 2000 },
  idle: { connections: 1000, seconds: 3, rounds: 3 },
};
const QUICK = {
  streams: { bytes: GiB / 2, rounds: 3 },
  growth: { bytes: 8 * GiB, steps: 4 },
  latency: { rounds: 3, trips: 500 },
  idle: { connections: 1000, seconds: 1, rounds: 1 },
};

/**
 * @param {{ quick: boolean, note: (text: string) => void }} options
 * @returns {Promise<import('../lib/report.mjs').Outcome>}
 */
export async function host({ quick, note }) {
  const { streams, growth, latency, idle } = quick ? QUICK : FULL;
  const source = await startSource(compileSource(), HOST);
  const one = await measureThroughput(source, { ...streams, connections: 1, note });
  const eight = await measureThroughput(source, { ...streams, connections: 8, note });
  const sixtyFour = await measureThroughput(source, { ...streams, connections: 64, note });
  const filling = await measureFilling(source, { ...streams, note });
  const resident = await measureGrowth(source, { ...growth, note });
  note('round trips');
  const args = [LATENCY, HOST, source.port, latency.rounds, latency.trips].map(String);
  const { stdout } = await execute(process.execPath, args);
  const latencies = /** @type {Latencies} */ (parseJson(stdout));
  await source.close();
  const idling = await measureIdle({ ...idle, note });
  return {
    figures: {
      ...throughputFigures(one, 1),
      ...throughputFigures(eight, 8),
      ...throughputFigures(sixtyFour, 64),
      ...fillingFigures(filling),
      rssMiB: resident.at(-1) ?? NaN,
      rssGrowthMiB: (resident.at(-1) ?? NaN) - (resident[0] ?? NaN),
      rssGrowthOverGiB: growth.bytes / GiB,
      ...latencyFigures(latencies),
      ...idleFigures(idling, idle),
    },
    samples: {
      streams: { one, eight, sixtyFour },
      filling,
      residentMiB: resident,
      latencies,
      idle: idling,
    },
  };
}

/** @param {Latencies} samples microseconds */
function latencyFigures({ copy, netSocket }) {
  const of = (/** @type {Latency[]} */ values, /** @type {'p50' | 'p99'} */ name) =>
    values.map((value) => value[name]);
  return {
    latencyP50Us: median(of(copy, 'p50')),
    latencyP99Us: median(of(copy, 'p99')),
    latencyP50UsNetSocket: median(of(netSocket, 'p50')),
    latencyP99UsNetSocket: median(of(netSocket, 'p99')),
    latencyP50VsNetSocket: pairedRatio(of(copy, 'p50'), of(netSocket, 'p50')),
    latencyP99VsNetSocket: pairedRatio(of(copy, 'p99'), of(netSocket, 'p99')),
  };
}
