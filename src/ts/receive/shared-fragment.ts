/** A fragment that is taken in parts, by one holder after the other. */
import type { DmaBuf } from '../memory/dma-buf.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { Batch } from './batch.js';
import { Lease, type Lessor, NOBODY } from './lease.js';
import { looseColumns } from './ring.js';

/** Goes back once all of it was taken and each part was released. */
export class SharedFragment implements Lessor {
  readonly uncloneable = CONNECTION_STAYS;
  /** Who takes its parts back: itself, or nobody. */
  readonly lessor: Lessor;
  readonly #whole: Batch;
  readonly #size: number;
  // Undefined where it lies in device memory, at `#offset`.
  readonly #bytes: Uint8Array | undefined;
  readonly #offset: number;
  readonly #source: number;
  #taken = 0;
  // Parts that somebody holds.
  #parts = 0;

  /** @param whole - a batch of one fragment, of which nothing was handed out */
  constructor(whole: Batch) {
    this.lessor = whole.lease.lessor === NOBODY ? NOBODY : this;
    this.#whole = whole;
    const { columns, base } = whole;
    this.#size = columns.sizes[base]!;
    this.#source = columns.sources[base]!;
    this.#bytes = whole.mayBeLinear ? whole.bytes(0) : undefined;
    this.#offset = this.#bytes === undefined ? columns.offsets[base]! : 0;
  }

  /** Bytes of it that nobody has taken. */
  get left(): number {
    return this.#size - this.#taken;
  }

  /** What is left of it, to be looked at alone. */
  get rest(): Batch {
    return this.#part(this.left, this);
  }

  /**
   * The next bytes of it, as a batch of their own.
   *
   * @param bytes - one at least, and no more than are left
   */
  take(bytes: number): Batch {
    const part = this.#part(bytes, this.lessor);
    this.#taken += bytes;
    this.#parts++;
    return part;
  }

  /** Lessor */
  releaseRange(): void {
    this.#parts--;
    if (this.#parts === 0 && this.left === 0) this.#whole.releaseSoon();
  }

  /** Lessor */
  releaseOne(): void {
    this.releaseRange();
  }

  /** Lessor */
  memoryOf(): DmaBuf | undefined {
    return this.#whole.memory(0);
  }

  #part(bytes: number, lessor: Lessor): Batch {
    const start = this.#taken;
    const linear = this.#bytes?.subarray(start, start + bytes);
    const offset = linear === undefined ? this.#offset + start : 0;
    const { columns, index } = looseColumns.add(offset, bytes, this.#source);
    return Batch.make(new Lease(lessor, 0, 1), columns, index, linear);
  }
}
