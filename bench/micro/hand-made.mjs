// @ts-check
/** Batches without a socket: full columns, and somebody who takes them back. */
import { Batch } from '../../dist/receive/batch.js';
import { Cursor } from '../../dist/receive/cursor.js';
import { Lease } from '../../dist/receive/lease.js';
import { CONNECTION_STAYS } from '../../dist/uncloneable.js';

/** @typedef {import('../../dist/receive/lease.js').Lessor} Lessor */
/** @typedef {import('../../dist/receive/ring.js').Columns} Columns */
/**
 * What makes batches, which the published types leave out.
 * @typedef {{ make(
 *   lease: Lease,
 *   columns: Columns,
 *   base: number,
 *   linear: Uint8Array | undefined,
 * ): Batch }} BatchMaker
 */

const InternalBatch = /** @type {BatchMaker} */ (/** @type {unknown} */ (Batch));

const CAPACITY = 1024;
const PAGE = 4096;

/**
 * Counts what comes back and does nothing else: what it costs to return descriptors is
 * measured by itself.
 * @implements {Lessor}
 */
class CountingLessor {
  uncloneable = CONNECTION_STAYS;
  returned = 0;

  /**
   * @param {number} _first
   * @param {number} count
   */
  releaseRange(_first, count) {
    this.returned += count;
  }

  releaseOne() {
    this.returned++;
  }

  /** @returns {undefined} */
  memoryOf() {
    return undefined;
  }
}

/**
 * Makes batches one after the other in the same full slot, as native code does.
 */
export class BatchSource {
  lessor = new CountingLessor();
  #size;
  #base = 0;
  /** @type {Columns} */
  #columns;

  /**
   * @param {number} size fragments of each batch
   * @param {number} [start] offset of the first fragment, in bytes
   */
  constructor(size, start = 0) {
    this.#size = size;
    this.#columns = {
      offsets: Float64Array.from({ length: CAPACITY }, (_, index) => start + index * PAGE),
      sizes: new Uint32Array(CAPACITY).fill(PAGE),
      sources: new Uint32Array(CAPACITY).fill(1),
    };
  }

  next() {
    if (this.#base + this.#size > CAPACITY) this.#base = 0;
    const base = this.#base;
    this.#base += this.#size;
    return InternalBatch.make(
      new Lease(this.lessor, base, this.#size),
      this.#columns,
      base,
      undefined,
    );
  }
}

/**
 * The cursor of a stream that has a batch ready each time it is asked, so many in all.
 *
 * @param {BatchSource} source
 * @param {number} batches
 */
export function readyCursor(source, batches) {
  let left = batches;
  const cursor = new Cursor({
    wanted() {
      if (cursor.ready > 0) return;
      if (left-- > 0) cursor.push(source.next());
      else cursor.end(undefined);
    },
    handedOut() {},
    finished() {},
  });
  cursor.push(source.next());
  left--;
  return cursor;
}
