/**
 * The async iterators of a socket. Written by hand: an async generator costs
 * twice as much per step, and its return() waits for a pending next().
 */
import type { Batch } from '../receive/batch.js';
import type { Fragment } from '../receive/fragment.js';
import type { FragmentStream } from '../receive/stream.js';

const DONE = { done: true, value: undefined } as const;

type Close = () => Promise<void>;

/** Yields batches; return() before the end destroys the connection, after it does nothing. */
export class BatchIterator implements AsyncIterableIterator<Batch, undefined> {
  readonly #stream: FragmentStream;
  readonly #close: Close;
  #ended = false;
  readonly #step = (batch: Batch | undefined): IteratorResult<Batch, undefined> => {
    if (batch !== undefined) return { done: false, value: batch };
    this.#ended = true;
    return DONE;
  };

  constructor(stream: FragmentStream, close: Close) {
    this.#stream = stream;
    this.#close = close;
  }

  // Not async: that would make another promise, and wait once more, for each batch.
  next(): Promise<IteratorResult<Batch, undefined>> {
    return this.#stream.nextAs(this.#step);
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    if (!this.#ended) await this.#close();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Yields fragments; return() before the end releases those not yielded and destroys the connection. */
export class FragmentIterator implements AsyncIterableIterator<Fragment, undefined> {
  readonly #stream: FragmentStream;
  readonly #close: Close;
  #batch: Batch | undefined;
  #index = 0;
  // Calls to next() that came while one waits for a batch wait for that one.
  #refill: Promise<Batch | undefined> | undefined;
  #returned = false;
  #ended = false;

  constructor(stream: FragmentStream, close: Close) {
    this.#stream = stream;
    this.#close = close;
  }

  next(): Promise<IteratorResult<Fragment, undefined>> {
    const fragment = this.#refill === undefined ? this.#take() : undefined;
    if (fragment !== undefined) return Promise.resolve({ done: false, value: fragment });
    return this.#nextAfterRefill();
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#returned = true;
    this.#releaseRest();
    if (!this.#ended) await this.#close();
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // The next fragment of the batch at hand.
  #take(): Fragment | undefined {
    const batch = this.#batch;
    if (batch === undefined) return undefined;
    const fragment = batch.fragment(this.#index++);
    if (this.#index === batch.length) this.#batch = undefined;
    return fragment;
  }

  async #nextAfterRefill(): Promise<IteratorResult<Fragment, undefined>> {
    for (;;) {
      if (this.#returned) return DONE;
      const fragment = this.#take();
      if (fragment !== undefined) return { done: false, value: fragment };
      this.#refill ??= this.#stream.next();
      if (!(await this.#finishRefill(this.#refill))) return DONE;
    }
  }

  // Takes over the batch for all who wait for it; an error goes to the first of
  // them alone. False at the end.
  async #finishRefill(refill: Promise<Batch | undefined>): Promise<boolean> {
    let batch: Batch | undefined;
    try {
      batch = await refill;
    } catch (error) {
      if (this.#refill !== refill) return false;
      this.#refill = undefined;
      throw error;
    }
    if (this.#refill === refill) {
      this.#refill = undefined;
      this.#batch = batch;
      this.#index = 0;
      if (this.#returned) this.#releaseRest();
    }
    this.#ended = batch === undefined;
    return !this.#ended;
  }

  #releaseRest(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch === undefined) return;
    for (let i = this.#index; i < batch.length; i++) batch.releaseFragment(i);
  }
}
