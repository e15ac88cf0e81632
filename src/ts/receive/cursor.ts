/**
 * Where a stream stands. What came is handed out from here and nowhere else, in the order
 * of the calls, so that fragments, batches and exact numbers of bytes can be asked for by
 * turns: no byte is skipped, none comes twice.
 */
import type { Batch } from './batch.js';
import { type Fragment, FragmentLease } from './fragment.js';
import { split } from './split.js';

/** What the cursor asks of whoever fills it. */
export interface Supply {
  /** Something was taken, or somebody waits: more may be read. */
  wanted(): void;
  /** A batch went out whole, or the last of its fragments that will by themselves. */
  handedOut(batch: Batch): void;
  /** The end was taken, after the last byte. */
  finished(): void;
}

/** Makes what was asked for of what is there; undefined where that is not enough. */
type Take<T> = () => T | undefined;

interface Request {
  /** Whether it could be met. */
  meet(): boolean;
  fail(error: Error): void;
  end(): void;
}

export class Cursor {
  readonly #supply: Supply;
  // In stream order. Of the first, `#index` fragments were taken.
  readonly #batches: Batch[] = [];
  #index = 0;
  readonly #requests: Request[] = [];
  #over = false;
  // Rejects one request, once.
  #error: Error | undefined;
  #finished = false;

  constructor(supply: Supply) {
    this.#supply = supply;
  }

  /** Batches that are there and not taken as a whole. */
  get ready(): number {
    return this.#batches.length;
  }

  /** Whether somebody waits. */
  get waiting(): boolean {
    return this.#requests.length > 0;
  }

  /** Whether the end was taken, or nothing is wanted any more. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Bytes that are there and not taken. */
  get bytesAhead(): number {
    let bytes = 0;
    for (const batch of this.#batches) bytes += batch.bytesFrom(0);
    return this.#index === 0 ? bytes : bytes - this.#batches[0]!.bytesFrom(0, this.#index);
  }

  /**
   * What `take` makes, at once or as soon as enough has come; `atEnd` after the end. An
   * error that ended the stream rejects one request. Requests are met in order.
   *
   * @param take - one of those below
   */
  request<T>(take: Take<T>, atEnd: T): Promise<T> {
    if (this.#requests.length === 0) {
      const taken = take();
      if (taken !== undefined) return Promise.resolve(taken);
      if (this.#over) return this.#atEnd(atEnd);
    }
    return new Promise((resolve, reject) => {
      this.#requests.push({
        meet: () => {
          const taken = take();
          if (taken !== undefined) resolve(taken);
          return taken !== undefined;
        },
        fail: reject,
        end: () => {
          resolve(atEnd);
        },
      });
      this.#supply.wanted();
    });
  }

  /** The next fragment. */
  takeFragment(): Fragment | undefined {
    const batch = this.#batches[0];
    if (batch === undefined) return undefined;
    const index = this.#index++;
    if (this.#index === batch.lease.count) this.#advance(batch);
    return new FragmentLease(batch, index) as Fragment;
  }

  /** All that is left of the next batch. */
  takeBatch(): Batch | undefined {
    const batch = this.#batches[0];
    if (batch === undefined) return undefined;
    if (this.#index === 0) {
      this.#advance(batch);
      return batch;
    }
    const rest = batch.split(this.#index);
    this.#advance(batch);
    this.#supply.handedOut(rest);
    return rest;
  }

  /** Exactly so many bytes, once that many are there: batches, cut where need be. */
  takeBytes(bytes: number): Batch[] | undefined {
    if (this.bytesAhead < bytes) return undefined;
    const taken: Batch[] = [];
    for (let left = bytes; left > 0;) {
      const batch = this.takeBatch()!;
      const size = batch.bytesFrom(0);
      if (size <= left) {
        taken.push(batch);
      } else {
        const [head, rest] = split(batch, left);
        taken.push(...head);
        this.#batches.unshift(...rest);
      }
      left -= size;
    }
    return taken;
  }

  /** Comes next after all that is there. */
  push(batch: Batch): void {
    this.#batches.push(batch);
    this.#meet();
  }

  /** Comes before all that is there, of which nothing was taken. */
  prepend(batch: Batch): void {
    this.#batches.unshift(batch);
  }

  /** Nothing more will come. What is there can still be taken. */
  end(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    // After a failure the end is none that anybody could take.
    this.#finished ||= error !== undefined;
    for (const request of this.#requests.splice(0)) this.#answerAtEnd(request);
  }

  /**
   * Nothing more is wanted: gives back what was not taken, and answers whoever waits.
   *
   * @param error - rejects one request, though the end had come, if nobody had taken it: what
   *   is dropped here makes the stream a cut one
   */
  close(error?: Error): void {
    if (this.#over && !this.#finished) this.#error = error;
    this.#finished = true;
    if (this.#index > 0) this.takeBatch()?.release();
    for (const batch of this.#batches.splice(0)) batch.release();
    this.end(error);
  }

  #advance(batch: Batch): void {
    this.#batches.shift();
    this.#index = 0;
    this.#supply.handedOut(batch);
    this.#supply.wanted();
  }

  #meet(): void {
    while (this.#requests[0]?.meet() === true) this.#requests.shift();
  }

  #atEnd<T>(value: T): Promise<T> {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) return Promise.reject(error);
    this.#finish();
    return Promise.resolve(value);
  }

  #answerAtEnd(request: Request): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) {
      request.fail(error);
      return;
    }
    request.end();
    this.#finish();
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#supply.finished();
  }
}
