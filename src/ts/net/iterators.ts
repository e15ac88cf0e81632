/**
 * The async iterators of a socket. Written by hand: an async generator costs
 * twice as much per step, and its return() waits for a pending next(). None has a place
 * of its own in the stream: each takes what comes next, whoever took what came before.
 */
import type { Batch } from '../receive/batch.js';
import type { Cursor } from '../receive/cursor.js';
import type { Fragment } from '../receive/fragment.js';

const DONE = { done: true, value: undefined } as const;

type Close = () => Promise<void>;
type Result<T> = IteratorResult<T, undefined>;

/** return() before the stream's end destroys the connection, after it does nothing. */
abstract class StreamIterator<T> implements AsyncIterableIterator<T, undefined> {
  protected readonly cursor: Cursor;
  protected returned = false;
  readonly #close: Close;

  /** @param refusal - why it may not read just now, if so */
  constructor(
    cursor: Cursor,
    close: Close,
    protected readonly refusal: () => Error | undefined,
  ) {
    this.cursor = cursor;
    this.#close = close;
  }

  abstract next(): Promise<Result<T>>;

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.returned = true;
    if (!this.cursor.finished) await this.#close();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

// Below, next() is not async: that would make another promise, and wait once more, for each
// step. And each has its own, which the engine can see through.

/** Yields batches. */
export class BatchIterator extends StreamIterator<Batch> {
  next(): Promise<Result<Batch>> {
    const { cursor } = this;
    if (this.returned) return Promise.resolve(DONE);
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const value = cursor.waiting ? undefined : cursor.takeBatch();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    return cursor.request<Result<Batch>>(() => {
      const batch = cursor.takeBatch();
      return batch && { done: false, value: batch };
    }, DONE);
  }
}

/** Yields fragments. */
export class FragmentIterator extends StreamIterator<Fragment> {
  next(): Promise<Result<Fragment>> {
    const { cursor } = this;
    if (this.returned) return Promise.resolve(DONE);
    const refusal = this.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    const value = cursor.waiting ? undefined : cursor.takeFragment();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    return cursor.request<Result<Fragment>>(() => {
      const fragment = cursor.takeFragment();
      return fragment && { done: false, value: fragment };
    }, DONE);
  }
}
