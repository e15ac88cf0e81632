/** Cutting a copy into launches, of which each takes only so much. */
import type { Ranges } from './engine.js';

/** What one launch takes. */
export interface Limits {
  fragments: number;
  /** Bytes. */
  bytes: number;
}

/** A stretch of the ranges: fragments, of which the first and the last may be cut. */
export interface Portion {
  first: number;
  count: number;
  /** Bytes of the first fragment that were in the portion before. */
  skip: number;
  /** Bytes, at least 1. */
  length: number;
  /** Bytes of all portions before. */
  before: number;
}

/** The portions of the ranges, one after the other. */
export class Portions {
  readonly #ranges: Ranges;
  readonly #limits: Limits;
  #at: number;
  #skip = 0;
  #before = 0;

  constructor(ranges: Ranges, limits: Limits) {
    this.#ranges = ranges;
    this.#limits = limits;
    this.#at = ranges.first;
  }

  /** The next one; undefined after the last. */
  next(): Portion | undefined {
    const { sizes, first, count } = this.#ranges;
    const end = first + count;
    while (this.#at < end && sizes[this.#at] === this.#skip) this.#pass();
    if (this.#at === end) return undefined;

    const portion = {
      first: this.#at,
      count: 0,
      skip: this.#skip,
      length: 0,
      before: this.#before,
    };
    while (this.#at < end && portion.count < this.#limits.fragments) {
      const left = sizes[this.#at]! - this.#skip;
      const room = this.#limits.bytes - portion.length;
      if (room === 0) break;
      portion.count++;
      portion.length += Math.min(left, room);
      if (left > room) {
        this.#skip += room;
        break;
      }
      this.#pass();
    }
    this.#before += portion.length;
    return portion;
  }

  #pass(): void {
    this.#at++;
    this.#skip = 0;
  }
}

/** Bytes of all ranges. */
export function bytesOf({ sizes, first, count }: Ranges): number {
  let bytes = 0;
  for (let at = first; at < first + count; at++) bytes += sizes[at]!;
  return bytes;
}
