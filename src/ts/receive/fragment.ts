import type { DmaBuf } from '../memory/dma-buf.js';
import { type Batch, usedAfterRelease } from './batch.js';
import { LINEAR_SOURCE } from './ring.js';

/** What all fragments have. */
interface Lease extends Disposable {
  /** Bytes. */
  readonly size: number;
  readonly released: boolean;
  /** Gives the fragment's memory back. */
  release(): void;
}

/** A piece of the stream that lies in device memory. */
export interface DeviceFragment extends Lease {
  readonly kind: 'device';
  /** Bytes from the start of the dma-buf. */
  readonly offset: number;
  /** Which dma-buf: the binding's id. */
  readonly dmabufId: number;
  /** The dma-buf itself: that of one of the socket's bindings. */
  readonly memory: DmaBuf;
  readonly bytes: undefined;
}

/** A piece of the stream that came through the kernel's own memory. */
export interface LinearFragment extends Lease {
  readonly kind: 'linear';
  /** Meaningless. */
  readonly offset: number;
  readonly dmabufId: 0;
  readonly memory: undefined;
  /** They outlive the lease. */
  readonly bytes: Uint8Array;
}

/**
 * One piece of the stream: where it lies in the dma-buf, or its bytes; `kind` tells.
 *
 * A lease: the memory is the consumer's until `release()` (also
 * `Symbol.dispose`); used after that it throws ERR_DEVMEM_RELEASED. Releasing
 * twice is harmless.
 */
export type Fragment = DeviceFragment | LinearFragment;

/** @internal Both kinds of fragment: one class, so that reading any is as fast. */
export class FragmentLease implements Disposable {
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

  get kind(): 'device' | 'linear' {
    this.#check();
    return this.#source === LINEAR_SOURCE ? 'linear' : 'device';
  }

  get offset(): number {
    this.#check();
    return this.#offset;
  }

  get size(): number {
    this.#check();
    return this.#size;
  }

  get dmabufId(): number {
    this.#check();
    return this.#source;
  }

  get memory(): DmaBuf | undefined {
    return this.#batch.memory(this.#index);
  }

  get bytes(): Uint8Array | undefined {
    this.#check();
    return this.#bytes;
  }

  get released(): boolean {
    return this.#batch.isReleased(this.#index);
  }

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
