/** A fragment that is taken in parts, by one holder after the other. */
import type { DmaBuf } from '../memory/dma-buf.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { Batch } from './batch.js';
import { Lease, type Lessor } from './lease.js';
import { looseColumns } from './ring.js';

/** Goes back once all of it was taken and each part was released. */
export class SharedFragment implements Lessor {
  readonly uncloneable = CONNECTION_STAYS;
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
    this.#whole = whole;
    this.#size = whole.size(0);
    this.#bytes = whole.bytes(0);
    this.#offset = this.#bytes === undefined ? whole.offset(0) : 0;
    this.#source = whole.dmabufId(0);
  }

  /** Bytes of it that nobody has taken. */
  get left(): number {
    return this.#size - this.#taken;
  }

  /**
   * The next bytes of it, as a batch of their own.
   *
   * @param bytes - one at least, and no more than are left
   */
  take(bytes: number): Batch {
    const start = this.#taken;
    this.#taken += bytes;
    this.#parts++;
    const linear = this.#bytes?.subarray(start, this.#taken);
    const offset = linear === undefined ? this.#offset + start : 0;
    const { columns, index } = looseColumns.add(offset, bytes, this.#source);
    return Batch.make(new Lease(this, 0, 1), columns, index, linear);
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
}
