/** What ends a transfer before its peers do. */

/** Why a transfer was told to end. */
export type Reason = 'interrupted' | 'bytes' | 'seconds';

/** Ends a transfer once, for the first reason that there is. */
export class Stopper implements Disposable {
  readonly #controller = new AbortController();
  #reason: Reason | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #interrupt = (): void => this.stop('interrupted');

  /**
   * Stops at SIGINT or SIGTERM. A second signal ends the process at once, as it would
   * have without this.
   */
  constructor() {
    process.once('SIGINT', this.#interrupt);
    process.once('SIGTERM', this.#interrupt);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Undefined where the transfer ended by itself. */
  get reason(): Reason | undefined {
    return this.#reason;
  }

  stop(reason: Reason): void {
    this.#reason ??= reason;
    this.#controller.abort();
  }

  /** Stops so many seconds from now, unless that was said before. */
  stopAfter(seconds: number | undefined): void {
    if (seconds === undefined) return;
    this.#timer ??= setTimeout(() => this.stop('seconds'), seconds * 1000);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    process.removeListener('SIGINT', this.#interrupt);
    process.removeListener('SIGTERM', this.#interrupt);
  }
}
