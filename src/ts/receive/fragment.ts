import { inspect } from 'node:util';

import type { DmaBuf } from '../memory/dma-buf.js';
import { portrait } from '../portrait.js';
import type { Batch } from './batch.js';

/** What all fragments have. */
interface Lease extends Disposable {
  /** Bytes. */
  readonly size: number;
  /** Whether `release()` was called. */
  readonly released: boolean;
  /**
   * The bytes as the CPU sees them, whatever the kind: the mapped memory itself, to be used
   * before the release, or the linear bytes.
   *
   * @throws DevmemError ERR_DEVMEM_NOT_MAPPABLE for `cuda` memory and others that
   *   `DmaBuf.map()` refuses
   */
  view(): Uint8Array;
  /** Gives the fragment's memory back. */
  release(): void;
}

/** A piece of the stream that lies in device memory. */
export interface DeviceFragment extends Lease {
  /** What TypeScript tells the two kinds apart by. */
  readonly kind: 'device';
  /** Bytes from the start of the dma-buf. */
  readonly offset: number;
  /**
   * Which dma-buf: the `id` of the binding. That is the kernel's number, from 1 up, or, where
   * that has none (transports `copy` and `zcrx`), one of the package's, from 2^32 - 3 down.
   */
  readonly dmabufId: number;
  /** The dma-buf itself: that of one of the socket's bindings. */
  readonly memory: DmaBuf;
  /** There are none: the bytes are in `memory`. */
  readonly bytes: undefined;
}

/** A piece of the stream that came through the kernel's own memory. */
export interface LinearFragment extends Lease {
  /** What TypeScript tells the two kinds apart by. */
  readonly kind: 'linear';
  /** There is none: the bytes are not in the binding's memory. */
  readonly offset: undefined;
  /** The id of no dma-buf. */
  readonly dmabufId: 0;
  /** There is none: the bytes are not in a binding's memory. */
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

/**
 * @internal Both kinds of fragment: one class, so that reading any is as fast. What it
 * tells is read where the batch has it, so that making one costs little.
 */
export class FragmentLease implements Disposable {
  /** By which it is not cloned; what is private (#) would be left out. */
  readonly batch: Batch;
  readonly #index: number;

  /** @internal */
  constructor(batch: Batch, index: number) {
    this.batch = batch;
    this.#index = index;
  }

  get kind(): 'device' | 'linear' {
    return this.batch.kind(this.#index);
  }

  get offset(): number | undefined {
    return this.batch.deviceOffset(this.#index);
  }

  get size(): number {
    return this.batch.size(this.#index);
  }

  get dmabufId(): number {
    return this.batch.dmabufId(this.#index);
  }

  get memory(): DmaBuf | undefined {
    return this.batch.memory(this.#index);
  }

  get bytes(): Uint8Array | undefined {
    return this.batch.bytes(this.#index);
  }

  view(): Uint8Array {
    return this.batch.view(this.#index);
  }

  get released(): boolean {
    return this.batch.lease.isReleased(this.#index);
  }

  release(): void {
    this.batch.lease.releaseOne(this.#index);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('Fragment', () => {
      const { released } = this;
      if (released) return { released };
      const { kind, offset, size, dmabufId, bytes } = this;
      return kind === 'device'
        ? { kind, offset, size, dmabufId, released }
        : { kind, size, bytes, released };
    });
  }
}
