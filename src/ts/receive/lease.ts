import type { DmaBuf } from '../memory/dma-buf.js';
import { CONNECTION_STAYS } from '../uncloneable.js';

// More than this are worth a call of their own.
const AT_ONCE = 32;

/** Takes descriptors back; what a lease knows of its socket. */
export interface Lessor {
  /** CONNECTION_STAYS: each batch leads here, and each fragment. */
  readonly uncloneable: symbol;
  /** All descriptors from `first` on, none released before. */
  releaseRange(first: number, count: number): void;
  /** One descriptor. `last`: nothing of its lease remains after it. */
  releaseOne(number: number, last: boolean): void;
  /**
   * Bytes of a descriptor, of which none was given back before: then all others of it are
   * given back like that, and the descriptor at last. Undefined where only whole ones can be.
   */
  readonly releasePart?: ((number: number, at: number, bytes: number) => void) | undefined;
  /** The id of all its device fragments, where there is only one: nobody need look at each. */
  readonly onlySource?: number | undefined;
  /** The memory that device fragments with this id lie in. */
  memoryOf(dmabufId: number): DmaBuf | undefined;
}

/** For bytes that are nobody's to take back. */
export const NOBODY: Lessor = {
  uncloneable: CONNECTION_STAYS,
  releaseRange: () => {},
  releaseOne: () => {},
  memoryOf: (): DmaBuf | undefined => undefined,
};

/**
 * What is held of a run of descriptors: which were given back, and which anybody has
 * looked at. Apart from the batch that is the consumer's, since it outlives that one where
 * it was collected unreleased.
 */
export class Lease {
  readonly lessor: Lessor;
  /** Whether nothing of it was given back: then nobody need ask for each. */
  whole = true;
  readonly #first: number;
  #count: number;
  // Descriptors not released, and which ones are, once any was by itself.
  #left: number;
  #releasedOnes: Uint8Array | undefined;
  // The last descriptor that somebody asked about, and with it all before.
  #seen = -1;

  /** @param first - the number of the first of `count` descriptors */
  constructor(lessor: Lessor, first: number, count: number) {
    this.lessor = lessor;
    this.#first = first;
    this.#count = count;
    this.#left = count;
  }

  get count(): number {
    return this.#count;
  }

  /** Whether all of it was given back. */
  get released(): boolean {
    return this.#left === 0;
  }

  isReleased(index: number): boolean {
    return this.#left === 0 || this.#releasedOnes?.[index] === 1;
  }

  /** Somebody learned where descriptor `index`, and perhaps each before it, lies. */
  see(index: number): void {
    if (index > this.#seen) this.#seen = index;
  }

  /** Gives back what is left. */
  release(): void {
    if (this.#left === 0) return;
    if (this.whole) {
      this.whole = false;
      this.#left = 0;
      this.lessor.releaseRange(this.#first, this.#count);
      return;
    }
    for (let index = 0; index < this.#count; index++) this.releaseOne(index);
  }

  /** Gives back what is left; a few descriptors together with those of other leases. */
  releaseSoon(): void {
    if (!this.whole || this.#count > AT_ONCE) {
      this.release();
      return;
    }
    this.whole = false;
    this.#left = 0;
    for (let index = 0; index < this.#count; index++) {
      this.lessor.releaseOne(this.#first + index, false);
    }
  }

  /** Gives back one descriptor; a second time does nothing. */
  releaseOne(index: number): void {
    if (this.#left === 0) return;
    const ones = (this.#releasedOnes ??= this.#breakUp());
    if (ones[index] === 1) return;
    ones[index] = 1;
    this.lessor.releaseOne(this.#first + index, --this.#left === 0);
  }

  /**
   * Gives back bytes of its one descriptor, before that itself.
   *
   * @param at - of the descriptor's bytes the first of them
   */
  releasePart(at: number, bytes: number): void {
    this.lessor.releasePart!(this.#first, at, bytes);
  }

  #breakUp(): Uint8Array {
    this.whole = false;
    return new Uint8Array(this.#count);
  }

  /** Cuts off the descriptors from `index` on, of which none was given out. */
  split(index: number): Lease {
    const rest = new Lease(this.lessor, this.#first + index, this.#count - index);
    this.#left -= rest.#count;
    this.#count = index;
    return rest;
  }

  /**
   * Gives back what nobody has ever looked at, to be called when nobody can any more.
   *
   * @returns whether that was all
   */
  releaseUnseen(): boolean {
    if (this.#seen < 0) this.release();
    for (let index = this.#seen + 1; index < this.#count; index++) this.releaseOne(index);
    return this.released;
  }
}
