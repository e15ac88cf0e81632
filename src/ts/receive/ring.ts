/** The frag ring as JavaScript reads it: typed arrays over shared memory. */
import { type Layout, native } from '../native.js';
import { sharedDoubles } from './stats.js';

/** A slot's columns; descriptor i is element i of each. */
export interface Columns {
  /** Bytes from the start of the dma-buf, or of the batch's linear bytes. */
  readonly offsets: Float64Array;
  /** Bytes. */
  readonly sizes: Uint32Array;
  /** dmabuf id, or LINEAR_SOURCE. */
  readonly sources: Uint32Array;
}

/** `source` of a descriptor whose bytes came through the kernel's own memory (batch_writer.h). */
export const LINEAR_SOURCE = 0;

/** This thread's ring, as there is one addon instance per thread. */
export class Ring {
  /** Descriptors in a slot. */
  readonly capacity: number;
  readonly #layout: Layout['slot'];
  readonly #slots: Columns[] = [];

  constructor() {
    const addon = native();
    addon.setSlotMaker(sharedDoubles);
    this.#layout = addon.layout.slot;
    this.capacity = this.#layout.capacity;
  }

  /** The columns of the slot that a descriptor is in, by the descriptor's number. */
  columnsOf(number: number): Columns {
    const slot = Math.floor(number / this.capacity);
    return (this.#slots[slot] ??= this.#view(native().slotMemory(slot).buffer));
  }

  #view(memory: ArrayBufferLike): Columns {
    const { capacity, offsets, sizes, sources } = this.#layout;
    return {
      offsets: new Float64Array(memory, offsets, capacity),
      sizes: new Uint32Array(memory, sizes, capacity),
      sources: new Uint32Array(memory, sources, capacity),
    };
  }
}

let shared: Ring | undefined;

/** The ring; it is there before the first socket receives. */
export function ring(): Ring {
  return (shared ??= new Ring());
}

/** Columns of fragments that are in no slot of the ring, filled one after the other. */
class LooseColumns {
  #columns = makeColumns();
  #used = 0;

  /** @returns where it is now; not to be kept beyond the next call */
  add(offset: number, size: number, source: number): { columns: Columns; index: number } {
    if (this.#used === LOOSE) {
      this.#columns = makeColumns();
      this.#used = 0;
    }
    const columns = this.#columns;
    const index = this.#used++;
    columns.offsets[index] = offset;
    columns.sizes[index] = size;
    columns.sources[index] = source;
    return { columns, index };
  }
}

// Enough that making them costs nothing for each fragment, and few enough that one held
// for long keeps little.
const LOOSE = 128;

function makeColumns(): Columns {
  return {
    offsets: new Float64Array(LOOSE),
    sizes: new Uint32Array(LOOSE),
    sources: new Uint32Array(LOOSE),
  };
}

export const looseColumns = new LooseColumns();
