import { deferred } from '../deferred.js';

/** Whether anything went wrong yet, in whosever hands: the first of it ends the run. */
export class Verdict {
  readonly #failed = deferred<never>();

  constructor() {
    this.#failed.promise.catch(() => {});
  }

  /** Rejects with what went wrong. */
  get failure(): Promise<never> {
    return this.#failed.promise;
  }

  fail(error: unknown): void {
    this.#failed.reject(error);
  }

  /** Throws, and ends the run, unless it holds. */
  hold(condition: boolean, otherwise: () => string): void {
    if (condition) return;
    const error = new Error(otherwise());
    this.fail(error);
    throw error;
  }

  /** The promise; where it rejects, that is what went wrong. */
  watch<T>(promise: Promise<T>): Promise<T> {
    promise.catch((error: unknown) => {
      this.fail(error);
    });
    return promise;
  }
}
