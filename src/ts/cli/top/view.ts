/** What is shown: snapshots, and what has changed between two of them. */
import type { ConnectionSnapshot, DiagnosticsSnapshot } from '../../diagnostics/snapshot.js';
import type { ReceiveStats } from '../../receive/stats.js';
import type { KernelView } from './kernel.js';
import type { ProcessAnswer } from './processes.js';

export interface ConnectionView extends ConnectionSnapshot {
  /** Null until it was seen twice. */
  bytesPerSecond: number | null;
}

export interface ProcessView extends Omit<DiagnosticsSnapshot, 'connections'> {
  path: string;
  bytesPerSecond: number | null;
  /** Stalls since it was last asked. */
  newStalls: number | null;
  connections: ConnectionView[];
}

/** A process that did not tell. */
export interface SilentProcess {
  path: string;
  problem: string;
}

export interface TopView {
  /** Milliseconds since 1970. */
  time: number;
  kernel: KernelView;
  processes: ProcessView[];
  silent: SilentProcess[];
}

/** Bytes received, whichever way they came. */
export function received(stats: ReceiveStats): number {
  return stats.deviceBytes + stats.linearBytes + stats.copiedBytes;
}

/** Makes each view of the one before it. */
export class Views {
  #last = new Map<string, DiagnosticsSnapshot>();

  next(time: number, kernel: KernelView, answers: readonly ProcessAnswer[]): TopView {
    const last = this.#last;
    this.#last = new Map();
    const processes: ProcessView[] = [];
    const silent: SilentProcess[] = [];
    for (const { path, snapshot, problem = 'it told nothing' } of answers) {
      if (snapshot === undefined) {
        silent.push({ path, problem });
      } else {
        processes.push(processView(path, snapshot, last.get(path)));
        this.#last.set(path, snapshot);
      }
    }
    return { time, kernel, processes, silent };
  }
}

function processView(
  path: string,
  now: DiagnosticsSnapshot,
  last: DiagnosticsSnapshot | undefined,
): ProcessView {
  // Another process may have the socket by now.
  const before = last?.pid === now.pid && last.threadId === now.threadId ? last : undefined;
  const seconds = before === undefined ? 0 : (now.time - before.time) / 1000;
  const rate = (stats: ReceiveStats, was: ReceiveStats | undefined): number | null => {
    if (was === undefined || seconds <= 0) return null;
    return Math.max(received(stats) - received(was), 0) / seconds;
  };
  const known = new Map(before?.connections.map(({ id, stats }) => [id, stats]));
  return {
    ...now,
    path,
    bytesPerSecond: rate(now.totals, before?.totals),
    newStalls: before === undefined ? null : Math.max(now.totals.stalls - before.totals.stalls, 0),
    connections: now.connections.map((each) => ({
      ...each,
      bytesPerSecond: rate(each.stats, known.get(each.id)),
    })),
  };
}
