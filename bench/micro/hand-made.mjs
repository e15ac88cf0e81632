// @ts-check
/** Batches without a socket: full columns, and somebody who takes them back. */
import { Batch } from '../../dist/receive/batch.js';
import { SocketReader } from '../../dist/reader/reader.js';
import { Cursor } from '../../dist/receive/cursor.js';
import { Lease } from '../../dist/receive/lease.js';
import { CONNECTION_STAYS } from '../../dist/uncloneable.js';

/** @typedef {import('../../dist/receive/lease.js').Lessor} Lessor */
/** @typedef {import('../../dist/receive/ring.js').Columns} Columns */
/** @typedef {import('../../dist/index.js').DmaBuf} DmaBuf */
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
  #memory;

  /** @param {DmaBuf | undefined} memory that the fragments lie in */
  constructor(memory) {
    this.#memory = memory;
  }

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

  memoryOf() {
    return this.#memory;
  }
}

/**
 * Makes batches one after the other in the same full slot, as native code does.
 */
export class BatchSource {
  lessor;
  #size;
  #base = 0;
  /** @type {Columns} */
  #columns;

  /**
   * @param {number} size fragments of each batch
   * @param {number} [start] offset of the first fragment, in bytes
   * @param {DmaBuf} [memory]
   */
  constructor(size, start = 0, memory) {
    this.#size = size;
    this.lessor = new CountingLessor(memory);
    this.#columns = {
      offsets: Float64Array.from({ length: CAPACITY }, (_, index) => start + index * PAGE),
      sizes: new Uint32Array(CAPACITY).fill(PAGE),
      sources: new Uint32Array(CAPACITY).fill(1),
    };
  }

  /**
   * Has the fragments lie elsewhere.
   *
   * @param {number} bytes of each
   * @param {(index: number) => number} place offset of one, in bytes
   */
  scatter(bytes, place) {
    this.#columns.sizes.fill(bytes);
    for (let index = 0; index < CAPACITY; index++) {
      this.#columns.offsets[index] = place(index);
    }
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
 * The cursor of a stream that always has some batches ready.
 *
 * @param {BatchSource} source
 * @param {number} batches
 */
export function endlessCursor(source, batches) {
  const cursor = new Cursor({
    wanted() {
      while (cursor.ready < batches) cursor.push(source.next());
    },
    handedOut() {},
    finished() {},
  });
  cursor.push(source.next());
  return cursor;
}

/** @typedef {{ cursor: Cursor, bindings: { heldLimit: number }[] }} Stream */
/** As this package makes one, which the published types leave out. */
export const InternalReader =
  /** @type {{ make: (stream: Stream, unlock: () => void) => SocketReader }} */ (
    /** @type {unknown} */ (SocketReader)
  );

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
