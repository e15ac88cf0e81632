import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import { DevmemError, outOfRange } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { portrait } from '../portrait.js';
import { type Fragment, FragmentLease } from './fragment.js';
import type { Lease } from './lease.js';
import type { DeviceCallback, LinearCallback, Payload, Run } from './payload.js';
import { type Columns, LINEAR_SOURCE } from './ring.js';
import { runsOf } from './runs.js';

const UNCOUNTED = -1;

/**
 * Fragments that arrived together, in stream order: the fast way to read, with
 * no object made per fragment.
 *
 * A batch is a lease. Its device memory is the consumer's until `release()`
 * (also `Symbol.dispose`); used after that it throws ERR_DEVMEM_RELEASED.
 * Releasing twice is harmless.
 */
export class Batch implements Payload {
  /** @internal */
  readonly lease: Lease;
  readonly #base: number;
  readonly #columns: Columns;
  readonly #linear: Uint8Array | undefined;
  // Of all its fragments, once counted.
  #bytes = UNCOUNTED;

  private constructor(
    maker: symbol,
    lease: Lease,
    columns: Columns,
    base: number,
    linear: Uint8Array | undefined,
  ) {
    checkMaker(maker, 'Batch', 'iterating socket.batches()');
    this.lease = lease;
    this.#columns = columns;
    this.#base = base;
    this.#linear = linear;
  }

  /**
   * @internal
   * @param base - where in the columns its first descriptor is
   */
  static make(lease: Lease, columns: Columns, base: number, linear: Uint8Array | undefined): Batch {
    return new Batch(MAKER, lease, columns, base, linear);
  }

  /** Fragments in the batch. */
  get length(): number {
    return this.lease.count;
  }

  /** Whether the whole batch was given back. */
  get released(): boolean {
    return this.lease.released;
  }

  /** Bytes of the stream in this batch. */
  get byteLength(): number {
    this.#check();
    return this.total;
  }

  /** Bytes of the batch that came linear: `forEach` hands them to its second callback. */
  get linearLength(): number {
    this.#check();
    if (this.#linear === undefined) return 0;
    const { sizes, sources } = this.#columns;
    let bytes = 0;
    for (let at = this.#base; at < this.#base + this.length; at++) {
      if (sources[at] === LINEAR_SOURCE) bytes += sizes[at]!;
    }
    return bytes;
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
    return this.lease.lessor.memoryOf(this.dmabufId(index));
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
   * Fragment `index` as the CPU sees it, wherever it lies: the mapped memory itself, to be
   * used before the release, or the linear bytes. What a NIC wrote is to be touched inside
   * `memory.cpuAccess()`.
   *
   * @throws DevmemError ERR_DEVMEM_NOT_MAPPABLE for `cuda` memory and others that
   *   `DmaBuf.map()` refuses
   */
  view(index: number): Uint8Array {
    const at = this.#at(index);
    const { offsets, sizes, sources } = this.#columns;
    if (sources[at] === LINEAR_SOURCE) return this.#linearBytes(at);
    const offset = offsets[at]!;
    return this.memory(index)!
      .mapped()
      .subarray(offset, offset + sizes[at]!);
  }

  /**
   * Calls back for each fragment in stream order, device fragments to the first
   * callback, linear ones to the second. Fragments released one by one are left out.
   *
   * @throws DevmemError ERR_DEVMEM_LINEAR_FRAGMENT, before any call, if the batch
   *   holds linear bytes and there is no callback for them
   * @throws DevmemError ERR_DEVMEM_RELEASED where a callback released the batch before
   *   its last fragment
   */
  forEach(onDevice: DeviceCallback, onLinear?: LinearCallback): void {
    this.#check();
    const linear = this.linearLength;
    if (linear > 0 && onLinear === undefined) throw linearUnhandled('batch', linear);
    const { offsets, sizes, sources } = this.#columns;
    const { lease } = this;
    const base = this.#base;
    const end = this.length;
    lease.see(end);
    for (let i = 0; i < end; i++) {
      if (!lease.whole) {
        if (lease.released) throw usedAfterRelease('batch');
        if (lease.isReleased(i)) continue;
      }
      const at = base + i;
      const source = sources[at]!;
      if (source === LINEAR_SOURCE) onLinear!(this.#linearBytes(at), i);
      else onDevice(offsets[at]!, sizes[at]!, source, i);
    }
  }

  /**
   * Where the batch's bytes lie, in stream order, with neighbours in memory merged: fewer,
   * larger copies for whoever gathers them.
   */
  runs(): Run[] {
    return runsOf([this]);
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
    this.lease.release();
  }

  /** `release()`, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('Batch', () => {
      const { length, released } = this;
      if (released) return { length, released };
      const { byteLength, linearLength } = this;
      return { length, byteLength, linearLength, released };
    });
  }

  /** @internal As `offset()`; undefined for a linear fragment, whose bytes are elsewhere. */
  deviceOffset(index: number): number | undefined {
    const at = this.#at(index);
    const { offsets, sources } = this.#columns;
    return sources[at] === LINEAR_SOURCE ? undefined : offsets[at];
  }

  /** @internal As `release()`; single fragments together with others of the same turn. */
  releaseSoon(): void {
    this.lease.releaseSoon();
  }

  /** @internal Where its descriptors are. Not checked for a release. */
  get columns(): Columns {
    return this.#columns;
  }

  /** @internal Where in the columns the first is. */
  get base(): number {
    return this.#base;
  }

  /** @internal Whether some of its bytes may be linear. */
  get mayBeLinear(): boolean {
    return this.#linear !== undefined;
  }

  /** @internal The source of each of its fragments, where that is known without a look at them. */
  get onlySource(): number | undefined {
    return this.mayBeLinear ? undefined : this.lease.lessor.onlySource;
  }

  /** @internal Bytes of all its fragments, counted once. Not checked for a release. */
  get total(): number {
    if (this.#bytes === UNCOUNTED) this.#bytes = this.bytesFrom(0);
    return this.#bytes;
  }

  /** @internal Bytes of the fragments from `start` up to `end`. */
  bytesFrom(start: number, end = this.length): number {
    const { sizes } = this.#columns;
    let bytes = 0;
    for (let at = this.#base + start; at < this.#base + end; at++) bytes += sizes[at]!;
    return bytes;
  }

  /** @internal Where in the batch its byte `position` lies: in which fragment, and how far. */
  find(position: number): { index: number; into: number } {
    const { sizes } = this.#columns;
    let index = 0;
    let into = position;
    while (index < this.length && into >= sizes[this.#base + index]!) {
      into -= sizes[this.#base + index++]!;
    }
    return { index, into };
  }

  /**
   * @internal Cuts off the fragments from `index` on, of which none was handed out yet.
   *
   * @param bytes - of those before
   * @returns them, as a batch of their own
   */
  split(index: number, bytes = this.bytesFrom(0, index)): Batch {
    const rest = Batch.make(
      this.lease.split(index),
      this.#columns,
      this.#base + index,
      this.#linear,
    );
    if (this.#bytes !== UNCOUNTED) rest.#bytes = this.#bytes - bytes;
    this.#bytes = bytes;
    return rest;
  }

  #linearBytes(at: number): Uint8Array {
    const offset = this.#columns.offsets[at]!;
    return this.#linear!.subarray(offset, offset + this.#columns.sizes[at]!);
  }

  #check(): void {
    if (this.lease.released) throw usedAfterRelease('batch');
  }

  // The place of fragment `index` in the columns.
  #at(index: number): number {
    const { lease } = this;
    if (!lease.whole && lease.isReleased(index)) throw usedAfterRelease('fragment');
    if (index >>> 0 !== index || index >= lease.count) {
      throw outOfRange('index', `an integer >= 0 and < ${lease.count}, the batch's length`, index);
    }
    lease.see(index);
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
      if (batch.lease.isReleased(index)) continue;
      return { done: false, value: new FragmentLease(batch, index) as Fragment };
    }
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** @internal */
export function usedAfterRelease(what: string): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_RELEASED',
    `This ${what} was released: its memory may hold other data by now. Copy what you need before release()`,
  );
}

/** @internal */
export function linearUnhandled(what: string, bytes: number): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_LINEAR_FRAGMENT',
    `This ${what} holds ${bytes} bytes that did not reach device memory. Pass a second callback, forEach(onDevice, onLinear), or iterate fragments and look at their kind`,
  );
}
