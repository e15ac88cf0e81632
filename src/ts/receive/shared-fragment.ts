/** A fragment that is taken in parts, by one holder after the other. */
import type { DmaBuf } from '../memory/dma-buf.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { Batch } from './batch.js';
import { Lease, type Lessor, NOBODY } from './lease.js';
import { PartReturn } from './part-return.js';
import { looseColumns } from './ring.js';

// Smaller ones have no page that could go back before the rest.
const WORTH_DIVIDING = 4096;

/**
 * Goes back once all of it was taken and each part was released: on the copy transport, where
 * a fragment can have megabytes, what of it nobody holds any more before that.
 */
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
  // Where it goes back in parts.
  readonly #parts: PartReturn | undefined;
  #taken = 0;
  // Parts that somebody holds.
  #held = 0;

  /** @param whole - a batch of one fragment, of which nothing was handed out */
  constructor(whole: Batch) {
    const { columns, base, lease } = whole;
    this.lessor = lease.lessor === NOBODY ? NOBODY : this;
    this.#whole = whole;
    this.#size = columns.sizes[base]!;
    this.#source = columns.sources[base]!;
    this.#bytes = whole.mayBeLinear ? whole.bytes(0) : undefined;
    this.#offset = this.#bytes === undefined ? columns.offsets[base]! : 0;
    if (lease.lessor.releasePart !== undefined && this.#size > WORTH_DIVIDING) {
      this.#parts = new PartReturn(lease, this.#size);
    }
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
    const parts = this.#parts;
    const lessor = parts === undefined ? this.lessor : new Part(this, parts, this.#taken, bytes);
    const part = this.#part(bytes, lessor);
    this.#taken += bytes;
    this.#held++;
    return part;
  }

  /** Lessor */
  releaseRange(): void {
    this.#held--;
    if (this.#held > 0 || this.left > 0) return;
    this.#parts?.end();
    this.#whole.releaseSoon();
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

/** Takes one part of a fragment back, or parts of that. */
class Part implements Lessor {
  readonly #fragment: SharedFragment;
  readonly #parts: PartReturn;
  readonly #start: number;
  readonly #bytes: number;
  #divided = false;

  constructor(fragment: SharedFragment, parts: PartReturn, start: number, bytes: number) {
    this.#fragment = fragment;
    this.#parts = parts;
    this.#start = start;
    this.#bytes = bytes;
  }

  get uncloneable(): symbol {
    return CONNECTION_STAYS;
  }

  /** Lessor */
  releaseRange(): void {
    if (!this.#divided) this.#parts.add(this.#start, this.#bytes);
    this.#fragment.releaseRange();
  }

  /** Lessor */
  releaseOne(): void {
    this.releaseRange();
  }

  /** Lessor */
  releasePart(_number: number, at: number, bytes: number): void {
    this.#divided = true;
    this.#parts.add(this.#start + at, bytes);
  }

  /** Lessor */
  memoryOf(): DmaBuf | undefined {
    return this.#fragment.memoryOf();
  }
}
