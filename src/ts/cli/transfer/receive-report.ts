/** The outcome of `recv` (and of the demo), as an object and as text. */
import { release } from 'node:os';

import type { Binding } from '../../index.js';
import { formatBytes, formatRate } from '../format.js';
import { type Interval, type Meter, round } from './meter.js';
import type { ConnectionResult, Received } from './receive.js';
import type { Reason } from './stopping.js';

/** What `recv --json` prints. docs/cli.md describes it. */
export interface ReceiveReport extends Received {
  transport: string;
  /** The kernel's release. */
  kernel: string;
  interface?: string;
  queues: readonly number[];
  memory: { type: string; size: number };
  /** Every byte was what it should be; absent where nobody looked. */
  verified?: boolean;
  /** Why it is not the devmem path, if it is not. */
  fallback?: string;
  /** What ended it, if not its connections. */
  ended?: Reason;
  intervals: Interval[];
  perConnection: ConnectionResult[];
}

export interface Ending {
  binding: Binding;
  meter: Meter;
  reason: Reason | undefined;
  /** Why there was no devmem path to begin with, where it is not for the binding to tell. */
  fallback?: Error | undefined;
}

const SUMS = ['frags', 'deviceBytes', 'linearBytes', 'copiedBytes', 'stalls'] as const;

export function receiveReport(results: ConnectionResult[], ending: Ending): ReceiveReport {
  const { binding, meter, reason } = ending;
  const { memory } = binding;
  const sums = Object.fromEntries(
    SUMS.map((name) => [name, results.reduce((sum, each) => sum + each[name], 0)]),
  ) as Record<(typeof SUMS)[number], number>;
  const looked = results.some(({ verified }) => verified !== undefined);
  const fallback = ending.fallback ?? binding.fallback;
  return {
    transport: binding.transport,
    kernel: release(),
    ...(binding.interface !== undefined && { interface: binding.interface }),
    queues: binding.queues,
    memory: { type: memory.type, size: memory.size },
    bytes: meter.bytes,
    seconds: round(meter.seconds),
    ...sums,
    ...(looked && { verified: results.every(({ verified }) => verified === true) }),
    ...(fallback !== undefined && { fallback: fallback.message }),
    ...(reason !== undefined && { ended: reason }),
    intervals: meter.intervals,
    perConnection: results,
  };
}

/** Totals for people. */
export function receiveText(report: ReceiveReport): string {
  const { bytes, seconds, frags, transport } = report;
  const where = transport === 'copy' ? 'copied to host memory' : 'straight into the dma-buf';
  const rows: [string, string][] = [
    ['received', totals(bytes, seconds, report.perConnection.length)],
    ['transport', `${transport}: ${where} (Linux ${report.kernel})`],
    ['fragments', `${frags}, ${formatBytes(bytes / Math.max(frags, 1))} on average`],
    ['device', formatBytes(report.deviceBytes)],
    ['linear', formatBytes(report.linearBytes)],
    ['copied', formatBytes(report.copiedBytes)],
  ];
  if (report.verified !== undefined) rows.push(['verified', verdict(report)]);
  if (report.fallback !== undefined) rows.push(['no devmem', report.fallback]);
  for (const { remote, error } of report.perConnection) {
    if (error !== undefined) rows.push(['failed', `${remote}: ${error}`]);
  }
  return rows.map(([name, value]) => `  ${name.padEnd(10)}  ${value}\n`).join('');
}

export function totals(bytes: number, seconds: number, connections: number): string {
  const from = connections === 1 ? '' : `, ${connections} connections`;
  return `${formatBytes(bytes)} in ${seconds} s, ${formatRate(bytes / Math.max(seconds, 0.001))}${from}`;
}

function verdict({ verified, perConnection }: ReceiveReport): string {
  if (verified === true) return 'every byte';
  const wrong = perConnection.find(({ firstWrong }) => firstWrong !== undefined);
  if (wrong === undefined) return 'NO: bytes are missing';
  return `NO: byte ${wrong.firstWrong} from ${wrong.remote} is not what it should be`;
}
