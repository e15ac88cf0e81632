import { type Batch, usedAfterRelease } from './batch.js';
import { LINEAR_SOURCE } from './ring.js';

/**
 * One piece of the stream: where it lies in the dma-buf, or its bytes.
 *
 * A lease: the memory is the consumer's until `release()` (also
 * `Symbol.dispose`); used after that it throws ERR_DEVMEM_RELEASED. Releasing
 * twice is harmless.
 */
export class Fragment implements Disposable {
  readonly #batch: Batch;
  readonly #index: number;
  readonly #offset: number;
  readonly #size: number;
  readonly #source: number;
  readonly #bytes: Uint8Array | undefined;

  /** @internal */
  constructor(
    batch: Batch,
    index: number,
    offset: number,
    size: number,
    source: number,
    bytes: Uint8Array | undefined,
  ) {
    this.#batch = batch;
    this.#index = index;
    this.#offset = offset;
    this.#size = size;
    this.#source = source;
    this.#bytes = bytes;
  }

  /** `'device'`: at `offset` in the dma-buf. `'linear'`: in `bytes`. */
  get kind(): 'device' | 'linear' {
    this.#check();
    return this.#source === LINEAR_SOURCE ? 'linear' : 'device';
  }

  /** Bytes from the start of the dma-buf. 0 or more; meaningless for a linear fragment. */
  get offset(): number {
    this.#check();
    return this.#offset;
  }

  /** Bytes. */
  get size(): number {
    this.#check();
    return this.#size;
  }

  /** The dma-buf's binding id; 0 for a linear fragment. */
  get dmabufId(): number {
    this.#check();
    return this.#source;
  }

  /** A linear fragment's bytes; undefined for a device fragment. They outlive the lease. */
  get bytes(): Uint8Array | undefined {
    this.#check();
    return this.#bytes;
  }

  get released(): boolean {
    return this.#batch.isReleased(this.#index);
  }

  /** Gives the fragment's memory back. */
  release(): void {
    this.#batch.releaseFragment(this.#index);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #check(): void {
    if (this.released) throw usedAfterRelease('fragment');
  }
}
