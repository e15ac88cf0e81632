/** What puts scattered bytes of the stream into one place. */
import type { DmaBuf } from '../memory/dma-buf.js';

/** Where bytes go. */
export type Target = DmaBuf | Uint8Array;

/** Fragments of one memory, in stream order: a stretch of columns, such as a batch's. */
export interface Ranges {
  /** Bytes from the start of the memory. */
  readonly offsets: Float64Array;
  /** Bytes. */
  readonly sizes: Uint32Array;
  /** Which elements of both: from here on, so many. */
  readonly first: number;
  readonly count: number;
}

/** With what they come to. */
export interface Pieces extends Ranges {
  /** Bytes of all. */
  readonly bytes: number;
}

/** Done, or a promise of that. */
export type Done = Promise<void> | undefined;

/**
 * One way of copying. What it is given lies inside what it is said to lie in.
 *
 * A promise resolves once the bytes are there, and rejects only when the engine has let go of
 * source and target: either way, fragments can be given back then. Until then the columns are
 * not to change.
 */
export interface GatherEngine {
  /**
   * Copies fragments to one place, one after the other.
   *
   * @param targetOffset - bytes from the start of the target, which has room for them all
   */
  copy(source: DmaBuf, pieces: Pieces, target: Target, targetOffset: number): Done;
  /** Copies bytes that are in no DmaBuf: linear fragments. They are not to change meanwhile. */
  copyBytes(bytes: Uint8Array, target: Target, targetOffset: number): Done;
}

/** One that makes copies in the order of the calls, and is shared by who opened it. */
export interface SharedEngine {
  copy(source: DmaBuf, ranges: Ranges, target: Target, targetOffset: number): Promise<void>;
  copyBytes(bytes: Uint8Array, target: DmaBuf, targetOffset: number): Promise<void>;
  /** To be called once by whoever opened it. Waits for all copies. */
  close(): Promise<void>;
}
