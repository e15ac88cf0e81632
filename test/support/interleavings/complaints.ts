import type { Verdict } from './verdict.js';

/** Has whatever Node complains of fail the run: warnings, and errors that nobody caught. */
export class Complaints implements Disposable {
  readonly #verdict: Verdict;
  readonly #expected: readonly string[];

  /** @param expected - the names of warnings that may come */
  constructor(verdict: Verdict, expected: readonly string[]) {
    this.#verdict = verdict;
    this.#expected = expected;
  }

  listen(): void {
    process.on('warning', this.#onWarning);
    process.on('unhandledRejection', this.#onError);
    process.on('uncaughtExceptionMonitor', this.#onError);
  }

  [Symbol.dispose](): void {
    process.off('warning', this.#onWarning);
    process.off('unhandledRejection', this.#onError);
    process.off('uncaughtExceptionMonitor', this.#onError);
  }

  readonly #onWarning = (warning: Error): void => {
    if (!this.#expected.includes(warning.name)) this.#onError(warning);
  };

  readonly #onError = (error: unknown): void => {
    this.#verdict.fail(new Error(`nobody expected ${String(error)}`, { cause: error }));
  };
}
