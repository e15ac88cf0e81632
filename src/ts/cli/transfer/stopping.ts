/** What ends a transfer before its peers do. */
import { setMaxListeners } from 'node:events';

import { Interruption } from '../interruption.js';

/** Why a transfer was told to end. */
export type Reason = 'interrupted' | 'bytes' | 'seconds';

/** Ends a transfer once, for the first reason that there is; an interruption is one. */
export class Stopper implements Disposable {
  readonly #controller = new AbortController();
  readonly #interruption = new Interruption();
  #reason: Reason | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    // As many as there are connections.
    setMaxListeners(0, this.signal);
    const interrupt = (): void => this.stop('interrupted');
    if (this.#interruption.signal.aborted) interrupt();
    else this.#interruption.signal.addEventListener('abort', interrupt);
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

  /** Stops so many seconds from now, in place of what was said before. */
  stopAfter(seconds: number | undefined): void {
    if (seconds === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop('seconds'), seconds * 1000);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#interruption[Symbol.dispose]();
  }
}
