import { allOf, gather } from '../gather/gather.js';
import type { Cursor } from '../receive/cursor.js';
import type { Batch } from '../receive/batch.js';
import type { Place } from './target.js';

// What is copied in one go, in bytes: other sockets, and timers, have their turn between.
const MOST_AT_ONCE = 4 * 2 ** 20;

/** One readInto(): takes what comes, up to so many bytes, and has it copied. */
export class Filling {
  readonly #cursor: Cursor;
  readonly #place: Place;
  readonly #took: (bytes: number) => void;
  // Bytes that were taken, and copies under way.
  #taken = 0;
  readonly #copies = new Set<Promise<void>>();
  #error: Error | undefined;

  /** @param took - told of how many bytes are taken */
  constructor(cursor: Cursor, place: Place, took: (bytes: number) => void) {
    this.#cursor = cursor;
    this.#place = place;
    this.#took = took;
  }

  /** Bytes that were taken and copied, or are being. */
  get placed(): number {
    return this.#taken;
  }

  /** Takes what is there; true once that is all. For Cursor.request(). */
  readonly take = (): true | undefined => {
    const { length } = this.#place;
    while (this.#taken < length) {
      if (this.#error !== undefined) throw this.#error;
      const batch = this.#cursor.takeUpTo(Math.min(length - this.#taken, MOST_AT_ONCE));
      if (batch === undefined) return undefined;
      this.#copy(batch);
    }
    return true;
  };

  /** Resolves once no copy is under way; rejects where one failed. */
  async settle(): Promise<void> {
    await allOf([...this.#copies]);
    if (this.#error !== undefined) throw this.#error;
  }

  #copy(batch: Batch): void {
    const bytes = batch.bytesFrom(0);
    const { target, offset } = this.#place;
    const done = gather(batch, target, offset + this.#taken);
    this.#taken += bytes;
    this.#took(bytes);
    if (done === undefined) batch.releaseSoon();
    else this.#watch(batch, done);
  }

  #watch(batch: Batch, done: Promise<void>): void {
    const copy = done
      .catch((error: unknown) => {
        this.#error ??= error as Error;
        this.#cursor.cancel(this.take, this.#error);
      })
      .finally(() => {
        batch.releaseSoon();
        this.#copies.delete(copy);
      });
    this.#copies.add(copy);
  }
}
