/** The frag ring as JavaScript reads it: typed arrays over native memory. */
import { native } from '../native.js';

/** Descriptors in a slot; src/native/receive/frag_ring.h kSlotCapacity. */
export const SLOT_CAPACITY = 1024;
/** `source` of a descriptor whose bytes came through the kernel's own memory. */
export const LINEAR_SOURCE = 0;

/** A slot's columns; descriptor i is element i of each. */
export interface Columns {
  /** Bytes from the start of the dma-buf, or of the batch's linear bytes. */
  readonly offsets: Float64Array;
  /** Bytes. */
  readonly sizes: Uint32Array;
  readonly tokens: Uint32Array;
  /** dmabuf id, or LINEAR_SOURCE. */
  readonly sources: Uint32Array;
}

// One ring per thread, as there is one addon instance per thread.
const slots: Columns[] = [];

/** The columns of a slot. */
export function columnsOf(slot: number): Columns {
  return (slots[slot] ??= view(native().slotMemory(slot)));
}

function view(memory: ArrayBuffer): Columns {
  const words = SLOT_CAPACITY * Uint32Array.BYTES_PER_ELEMENT;
  const offsetsEnd = SLOT_CAPACITY * Float64Array.BYTES_PER_ELEMENT;
  return {
    offsets: new Float64Array(memory, 0, SLOT_CAPACITY),
    sizes: new Uint32Array(memory, offsetsEnd, SLOT_CAPACITY),
    tokens: new Uint32Array(memory, offsetsEnd + words, SLOT_CAPACITY),
    sources: new Uint32Array(memory, offsetsEnd + 2 * words, SLOT_CAPACITY),
  };
}

/** Columns that hold one linear fragment and belong to no ring. */
export function linearColumns(size: number): Columns {
  return {
    offsets: Float64Array.of(0),
    sizes: Uint32Array.of(size),
    tokens: Uint32Array.of(0),
    sources: Uint32Array.of(LINEAR_SOURCE),
  };
}
