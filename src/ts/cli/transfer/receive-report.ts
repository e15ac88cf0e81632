/** The outcome of `recv` (and of the demo), as an object and as text. */
import { release } from 'node:os';

import type { Binding, TransportName } from '../../index.js';
import { TRANSPORTS } from '../../receive/transports/all.js';
import { formatBytes, formatRate } from '../format.js';
import type { Destination, Gathered } from './into/destination.js';
import { type Interval, type Meter, round } from './meter.js';
import type { Reason } from './stopping.js';
import type { ConnectionResult, Received, Tally, WrongByte } from './tally.js';

/** What `recv --json` prints. docs/cli.md describes it. */
export interface ReceiveReport extends Received {
  transport: TransportName;
  /** The kernel's release. */
  kernel: string;
  interface?: string;
  queues: readonly number[];
  memory: { type: string; size: number };
  /** What came of `--into`; absent without it. */
  gathered?: Gathered;
  /** Every byte was what it should be; absent where nobody looked. */
  verified?: boolean;
  /** Why it is not the devmem path, if it is not. */
  fallback?: string;
  /** What ended it, if not its connections. */
  ended?: Reason;
  /** The last of them. */
  intervals: Interval[];
  /** Connections that have ended. */
  connections: number;
  /** Those of them that ended with an error. */
  failed: number;
  /** Of the first of them that had one. */
  wrongByte?: WrongByte;
  /** The last of them. */
  perConnection: ConnectionResult[];
}

export interface Ending {
  binding: Binding;
  meter: Meter;
  reason: Reason | undefined;
  into?: Destination | undefined;
  /** Why there was no devmem path to begin with, where it is not for the binding to tell. */
  fallback?: Error | undefined;
}

export function receiveReport(tally: Tally, ending: Ending): ReceiveReport {
  const { binding, meter, reason, into } = ending;
  const { memory } = binding;
  const { verified, wrongByte } = tally;
  const fallback = ending.fallback ?? binding.fallback;
  return {
    transport: binding.transport,
    kernel: release(),
    ...(binding.interface !== undefined && { interface: binding.interface }),
    queues: binding.queues,
    memory: { type: memory.type, size: memory.size },
    bytes: meter.bytes,
    seconds: round(meter.seconds),
    ...tally.sums,
    ...(into !== undefined && { gathered: into.report(binding) }),
    ...(verified !== undefined && { verified }),
    ...(wrongByte !== undefined && { wrongByte }),
    ...(fallback !== undefined && { fallback: fallback.message }),
    ...(reason !== undefined && { ended: reason }),
    intervals: meter.intervals,
    connections: tally.connections,
    failed: tally.failed,
    perConnection: tally.latest,
  };
}

/** Totals for people. */
export function receiveText(report: ReceiveReport): string {
  const { bytes, seconds, transport } = report;
  const { copies } = TRANSPORTS[transport];
  const where = copies ? 'copied to host memory' : 'straight into the dma-buf';
  const rows: [string, string][] = [
    ['received', totals(bytes, seconds, report.connections)],
    ['transport', `${transport}: ${where} (Linux ${report.kernel})`],
    ['fragments', fragments(report, copies)],
    ['device', formatBytes(report.deviceBytes)],
    ['linear', formatBytes(report.linearBytes)],
    ['copied', formatBytes(report.copiedBytes)],
  ];
  if (report.gathered !== undefined) rows.push(['gathered', whereTo(report.gathered)]);
  if (report.verified !== undefined) rows.push(['verified', verdict(report)]);
  if (report.fallback !== undefined) rows.push(['no devmem', report.fallback]);
  rows.push(...failures(report));
  return rows.map(([name, value]) => `  ${name.padEnd(10)}  ${value}\n`).join('');
}

function fragments({ bytes, frags, gathered }: ReceiveReport, copies: boolean): string {
  // Most is received where it is to be, and makes none.
  if (copies && gathered?.by === 'cpu') return String(frags);
  return `${frags}, ${formatBytes(bytes / Math.max(frags, 1))} on average`;
}

function whereTo({ into, bytes, by, whole }: Gathered): string {
  const place = into === 'host' ? 'host memory' : into;
  const short = whole === false ? ', WHICH IS NOT WHOLE' : '';
  return `${formatBytes(bytes)} into ${place} by the ${by.toUpperCase()}${short}`;
}

const SHOWN_FAILURES = 10;

function failures({ perConnection, failed }: ReceiveReport): [string, string][] {
  const shown = perConnection.filter(({ error }) => error !== undefined).slice(-SHOWN_FAILURES);
  const rows = shown.map(({ remote, error }): [string, string] => [
    'failed',
    `${remote}: ${error}`,
  ]);
  return failed > shown.length ? [['failed', `${failed} connections; the last:`], ...rows] : rows;
}

export function totals(bytes: number, seconds: number, connections: number): string {
  const from = connections === 1 ? '' : `, ${connections} connections`;
  return `${formatBytes(bytes)} in ${seconds} s, ${formatRate(bytes / Math.max(seconds, 0.001))}${from}`;
}

function verdict({ verified, wrongByte }: ReceiveReport): string {
  if (verified === true) return 'every byte';
  if (wrongByte === undefined) return 'NO: bytes are missing';
  return `NO: byte ${wrongByte.position} from ${wrongByte.remote} is not what it should be`;
}
