/** Counts the bytes of a transfer, and shows it: a progress bar, a line per interval. */
import { formatBytes, formatRate } from '../format.js';
import { stdout } from '../output.js';
import { Progress } from '../progress.js';
import { remember } from './tally.js';

export interface Interval {
  /** Seconds since the transfer began. */
  start: number;
  end: number;
  bytes: number;
}

export interface MeterOptions {
  /** Bytes to come, where that is known. */
  total: number | undefined;
  /** Seconds between reports. */
  interval: number | undefined;
  /** Whether to show anything; intervals are kept all the same. */
  quiet: boolean;
}

export class Meter implements Disposable {
  /** The last of them. */
  readonly intervals: Interval[] = [];
  readonly #options: MeterOptions;
  readonly #progress: Progress;
  #bytes = 0;
  #reported = 0;
  #started: number | undefined;
  #stopped: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MeterOptions) {
    this.#options = options;
    this.#progress = new Progress(options.total, !options.quiet && options.interval === undefined);
  }

  /** All bytes so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** From the first start() to stop(), or to now. */
  get seconds(): number {
    if (this.#started === undefined) return 0;
    return ((this.#stopped ?? performance.now()) - this.#started) / 1000;
  }

  /**
   * A connection began. The first one starts the clock.
   *
   * @returns whether it was the first
   */
  start(): boolean {
    if (this.#started !== undefined) return false;
    this.#started = performance.now();
    const { interval } = this.#options;
    if (interval !== undefined) this.#timer = setInterval(() => this.#report(), interval * 1000);
    return true;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    this.#progress.update(this.#bytes);
  }

  /** All is over: stops the clock, and reports the last, shorter interval. */
  stop(): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = performance.now();
    clearInterval(this.#timer);
    if (this.#timer !== undefined && this.#bytes > this.#reported) this.#report();
    this.#progress.clear();
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #report(): void {
    const start = this.intervals.at(-1)?.end ?? 0;
    const interval = { start, end: round(this.seconds), bytes: this.#bytes - this.#reported };
    this.#reported = this.#bytes;
    remember(this.intervals, interval);
    if (!this.#options.quiet) stdout.write(`${describe(interval)}\n`);
  }
}

function describe({ start, end, bytes }: Interval): string {
  const span = `${start.toFixed(1)}-${end.toFixed(1)} s`.padEnd(14);
  return `  ${span}  ${formatBytes(bytes).padStart(12)}  ${formatRate(bytes / (end - start))}`;
}

/** Seconds to the millisecond. */
export function round(seconds: number): number {
  return Number(seconds.toFixed(3));
}
