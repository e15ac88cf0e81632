/** Copying scattered pieces of memory to one place: what each way of doing it offers. */
import type { DmaBuf } from '../memory/dma-buf.js';

/** Where pieces go. */
export type Target = DmaBuf | Uint8Array;

/** Pieces of a memory, in columns: elements `first` to `first + count`. */
export interface Pieces {
  /** Bytes from the start of the memory. */
  readonly offsets: Float64Array;
  /** Bytes. */
  readonly sizes: Uint32Array;
  readonly first: number;
  readonly count: number;
  /** Bytes of all. */
  readonly bytes: number;
}

/** Done, or a promise of that; the pieces are in use until then. */
export type Done = Promise<void> | undefined;

/** One way of copying. What it is given was checked to lie inside. */
export interface GatherEngine {
  /** Copies pieces one behind the other to `at`, in bytes from the target's start. */
  copy(source: DmaBuf, pieces: Pieces, target: Target, at: number): Done;
  /** Copies bytes that are nobody else's to `at`. */
  copyBytes(bytes: Uint8Array, target: Target, at: number): Done;
}
