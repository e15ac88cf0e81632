import { DevmemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { type Fragment, FragmentLease } from './fragment.js';
import { type Columns, LINEAR_SOURCE } from './ring.js';

/** Takes descriptors back; what a batch knows of its socket. */
export interface Lessor {
  /** All descriptors from `first` on, none released before. */
  releaseRange(first: number, count: number): void;
  /** One descriptor. `last`: nothing of its batch remains after it. */
  releaseOne(number: number, last: boolean): void;
  /** The memory that device fragments with this id lie in. */
  memoryOf(dmabufId: number): DmaBuf | undefined;
}

/** A stretch of memory. */
export interface Run {
  /** Bytes from the start of the dma-buf. */
  offset: number;
  /** Bytes. */
  size: number;
  /** Which dma-buf: the binding's id. */
  dmabufId: number;
}

/** Called with a device fragment's offset and size in bytes, dmabuf id and index in the batch. */
export type DeviceCallback = (
  offset: number,
  size: number,
  dmabufId: number,
  index: number,
) => void;

/** Called with the bytes of a linear fragment and its index in the batch. */
export type LinearCallback = (bytes: Uint8Array, index: number) => void;

/**
 * Fragments that arrived together, in stream order: the fast way to read, with
 * no object made per fragment.
 *
 * A batch is a lease. Its device memory is the consumer's until `release()`
 * (also `Symbol.dispose`); used after that it throws ERR_DEVMEM_RELEASED.
 * Releasing twice is harmless.
 */
export class Batch implements Iterable<Fragment>, Disposable {
  /** Fragments in the batch. */
  readonly length: number;
  readonly #lessor: Lessor;
  readonly #first: number;
  readonly #base: number;
  readonly #columns: Columns;
  readonly #linear: Uint8Array | undefined;
  // Descriptors not released, and which ones are, once any was by itself.
  #left: number;
  #releasedOnes: Uint8Array | undefined;

  /** @internal */
  constructor(
    lessor: Lessor,
    columns: Columns,
    base: number,
    first: number,
    count: number,
    linear: Uint8Array | undefined,
  ) {
    this.length = count;
    this.#lessor = lessor;
    this.#columns = columns;
    this.#base = base;
    this.#first = first;
    this.#linear = linear;
    this.#left = count;
  }

  /** Whether the whole batch was given back. */
  get released(): boolean {
    return this.#left === 0;
  }

  /** Bytes of the stream in this batch. */
  get byteLength(): number {
    this.#check();
    const { sizes } = this.#columns;
    let bytes = 0;
    for (let i = this.#base; i < this.#base + this.length; i++) bytes += sizes[i]!;
    return bytes;
  }

  /** Bytes of the batch that came linear: `forEach` hands them to its second callback. */
  get linearLength(): number {
    this.#check();
    return this.#linear?.length ?? 0;
  }

  /** Where fragment `index` lies, in bytes from the start of its dma-buf (or of the linear bytes). */
  offset(index: number): number {
    return this.#columns.offsets[this.#at(index)]!;
  }

  /** The size of fragment `index`, in bytes. */
  size(index: number): number {
    return this.#columns.sizes[this.#at(index)]!;
  }

  /** The dma-buf of fragment `index`: the binding's id, 0 for a linear fragment. */
  dmabufId(index: number): number {
    return this.#columns.sources[this.#at(index)]!;
  }

  /** The memory that fragment `index` lies in; undefined for a linear fragment. */
  memory(index: number): DmaBuf | undefined {
    return this.#lessor.memoryOf(this.dmabufId(index));
  }

  /** Whether fragment `index` lies in device memory or carries its bytes. */
  kind(index: number): 'device' | 'linear' {
    return this.dmabufId(index) === LINEAR_SOURCE ? 'linear' : 'device';
  }

  /** The bytes of linear fragment `index`; undefined for a device fragment. They outlive the lease. */
  bytes(index: number): Uint8Array | undefined {
    const at = this.#at(index);
    return this.#columns.sources[at] === LINEAR_SOURCE ? this.#linearBytes(at) : undefined;
  }

  /**
   * Calls back for each fragment in stream order, device fragments to the first
   * callback, linear ones to the second. Fragments released one by one are left out.
   *
   * @throws DevmemError ERR_DEVMEM_LINEAR_FRAGMENT, before any call, if the batch
   *   holds linear bytes and there is no callback for them
   */
  forEach(onDevice: DeviceCallback, onLinear?: LinearCallback): void {
    this.#check();
    if (this.#linear !== undefined && onLinear === undefined) throw linearUnhandled(this.#linear);
    const { offsets, sizes, sources } = this.#columns;
    const base = this.#base;
    for (let i = 0; i < this.length; i++) {
      if (this.#releasedOnes?.[i] === 1) continue;
      const at = base + i;
      const source = sources[at]!;
      if (source === LINEAR_SOURCE) onLinear!(this.#linearBytes(at), i);
      else onDevice(offsets[at]!, sizes[at]!, source, i);
    }
  }

  /**
   * The batch's device fragments with neighbours in memory merged: fewer, larger
   * copies for whoever gathers them.
   *
   * @throws DevmemError ERR_DEVMEM_LINEAR_FRAGMENT if the batch holds linear bytes
   */
  runs(): Run[] {
    const runs: Run[] = [];
    let last: Run | undefined;
    this.forEach((offset, size, dmabufId) => {
      if (last?.dmabufId === dmabufId && last.offset + last.size === offset) {
        last.size += size;
      } else {
        runs.push((last = { offset, size, dmabufId }));
      }
    });
    return runs;
  }

  /** The fragments not yet released as objects, each a lease of its own. */
  [Symbol.iterator](): IterableIterator<Fragment, undefined> {
    this.#check();
    return new BatchFragments(this);
  }

  /** Fragment `index` as an object: a lease of its own, part of the batch's. */
  fragment(index: number): Fragment {
    this.#at(index);
    return new FragmentLease(this, index) as Fragment;
  }

  /** Gives the batch's memory back: the sender may fill it again. */
  release(): void {
    if (this.#left === 0) return;
    if (this.#releasedOnes === undefined) {
      this.#left = 0;
      this.#lessor.releaseRange(this.#first, this.length);
      return;
    }
    for (let i = 0; i < this.length; i++) this.releaseFragment(i);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** @internal Releases one fragment; a second time does nothing. */
  releaseFragment(index: number): void {
    if (this.isReleased(index)) return;
    this.#releasedOnes ??= new Uint8Array(this.length);
    this.#releasedOnes[index] = 1;
    this.#left--;
    this.#lessor.releaseOne(this.#first + index, this.#left === 0);
  }

  /** @internal */
  isReleased(index: number): boolean {
    return this.#left === 0 || this.#releasedOnes?.[index] === 1;
  }

  #linearBytes(at: number): Uint8Array {
    const offset = this.#columns.offsets[at]!;
    return this.#linear!.subarray(offset, offset + this.#columns.sizes[at]!);
  }

  #check(): void {
    if (this.#left === 0) throw usedAfterRelease('batch');
  }

  // The place of fragment `index` in the columns.
  #at(index: number): number {
    if (this.isReleased(index)) throw usedAfterRelease('fragment');
    if (index >>> 0 !== index || index >= this.length) {
      throw new RangeError(`fragment ${index} of a batch of ${this.length}`);
    }
    return this.#base + index;
  }
}

/** By hand: a generator costs half as much again. */
class BatchFragments implements IterableIterator<Fragment, undefined> {
  readonly #batch: Batch;
  #index = 0;

  constructor(batch: Batch) {
    this.#batch = batch;
  }

  next(): IteratorResult<Fragment, undefined> {
    const batch = this.#batch;
    while (this.#index < batch.length) {
      const index = this.#index++;
      if (!batch.isReleased(index)) {
        return { done: false, value: new FragmentLease(batch, index) as Fragment };
      }
    }
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

function usedAfterRelease(what: string): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_RELEASED',
    `This ${what} was released: its memory may hold other data by now. Copy what you need before release()`,
  );
}

function linearUnhandled(linear: Uint8Array): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_LINEAR_FRAGMENT',
    `This batch holds ${linear.length} bytes that did not reach device memory. Pass a second callback, forEach(onDevice, onLinear), or iterate fragments and look at their kind`,
  );
}
