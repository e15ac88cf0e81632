/** Copies, launch by launch, on a GPU. */
import { types } from 'node:util';

import { invalidArgValue } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import {
  type CudaFailure,
  type CudaGather,
  type CudaMemory,
  type CudaRegistration,
  type Launched,
  type Mapping,
  native,
} from '../native.js';
import type { Ranges } from './engine.js';
import type { Copy } from './launches.js';
import { type Portion, Portions } from './portions.js';

/** What the GPU itself reads and writes. */
export type Reachable = CudaMemory | CudaRegistration;

/** A copy of fragments. */
export class GatherCopy implements Copy<CudaFailure> {
  readonly #gather: CudaGather;
  readonly #source: DmaBuf;
  readonly #ranges: Ranges;
  readonly #target: DmaBuf | Uint8Array;
  readonly #offset: number;
  #from!: Reachable | Mapping;
  #to: Reachable | undefined;
  #portions!: Portions;
  #portion: Portion | undefined;
  // Of launches that go to staging: where in the target their bytes belong.
  readonly #staged = new Map<number, number>();

  constructor(
    gather: CudaGather,
    source: DmaBuf,
    ranges: Ranges,
    target: DmaBuf | Uint8Array,
    offset: number,
  ) {
    this.#gather = gather;
    this.#source = source;
    this.#ranges = ranges;
    this.#target = target;
    this.#offset = offset;
  }

  /** What the GPU can reach of both ends; undefined: through staging. */
  begin(from: Reachable | undefined, to: Reachable | undefined): void {
    this.#from = from ?? this.#source.mapping();
    this.#to = to;
    const { fragments, stagingBytes } = native().CudaGather;
    const staged = from === undefined || to === undefined;
    const bytes = staged ? stagingBytes : Infinity;
    this.#portions = new Portions(this.#ranges, { fragments, bytes });
    this.#portion = this.#portions.next();
  }

  launch(): Launched | undefined {
    if (this.#portion === undefined) return undefined;
    const { first, count, skip, length, before } = this.#portion;
    const { offsets, sizes } = this.#ranges;
    const at = this.#offset + before;
    const launched = this.#gather.gather(
      this.#from,
      ...([offsets, sizes, first, count, skip, length, this.#to, at] as const),
    );
    if (launched === 0) return 0;
    if (this.#to === undefined && typeof launched === 'number') this.#staged.set(launched, at);
    this.#portion = this.#portions.next();
    return launched;
  }

  done(launch: number): void {
    const at = this.#staged.get(launch);
    if (at === undefined) return;
    this.#staged.delete(launch);
    const target = this.#target;
    if (types.isUint8Array(target)) this.#collect(launch, target, at);
    else target.cpuAccess(() => this.#collect(launch, target.mapping(), at), 'write');
  }

  #collect(launch: number, target: Uint8Array | Mapping, at: number): void {
    if (this.#gather.collect(launch, target, at)) return;
    const expected = 'left as it is, neither detached nor shortened, until the copy is done';
    throw invalidArgValue('target', expected, this.#target);
  }
}

/** A copy of bytes from outside. */
export class WriteCopy implements Copy<CudaFailure> {
  readonly #gather: CudaGather;
  readonly #bytes: Uint8Array;
  readonly #length: number;
  readonly #target: CudaMemory;
  readonly #offset: number;
  #done = 0;

  constructor(gather: CudaGather, bytes: Uint8Array, target: CudaMemory, offset: number) {
    this.#gather = gather;
    this.#bytes = bytes;
    this.#length = bytes.length;
    this.#target = target;
    this.#offset = offset;
  }

  launch(): Launched | undefined {
    const from = this.#done;
    const length = Math.min(this.#length - from, native().CudaGather.stagingBytes);
    if (length === 0) return undefined;
    if (this.#bytes.length !== this.#length) {
      const expected = 'left as they are, neither detached nor shortened, until the copy is done';
      throw invalidArgValue('bytes', expected, this.#bytes);
    }
    const at = this.#offset + from;
    const launched = this.#gather.write(this.#bytes, from, length, this.#target, at);
    if (launched !== 0) this.#done += length;
    return launched;
  }
}
