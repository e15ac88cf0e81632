/** Looking at bytes that are there without taking them. */
import { copyOut } from '../gather/copy-out.js';
import { HostEngine } from '../gather/host.js';
import { DevmemError } from '../errors.js';
import type { Cursor } from '../receive/cursor.js';

/**
 * Copies what is there from `skip` bytes after the stream's position on, as much as fits.
 *
 * @returns bytes copied
 */
export function copyAhead(cursor: Cursor, skip: number, target: Uint8Array): number {
  const host = new HostEngine();
  let before = skip;
  let at = 0;
  try {
    cursor.look((batch) => {
      const bytes = before === 0 ? Infinity : batch.total;
      if (before < bytes) at += copyOut(batch, before, target, at, host);
      before = Math.max(before - bytes, 0);
      return at < target.length;
    });
  } finally {
    host.endGo();
  }
  return at;
}

/** Looks for a delimiter in what comes, each byte once. */
export class Search {
  readonly #cursor: Cursor;
  readonly #delimiter: Uint8Array;
  readonly #limit: number;
  #seen = Buffer.alloc(0);

  /** @param limit - bytes within which the delimiter has to end */
  constructor(cursor: Cursor, delimiter: Uint8Array, limit: number) {
    this.#cursor = cursor;
    this.#delimiter = delimiter;
    this.#limit = limit;
  }

  /**
   * All up to the delimiter's end, once that is there.
   *
   * @throws DevmemError ERR_DEVMEM_TOO_LONG where it is not within the limit
   */
  find(): Uint8Array | undefined {
    const before = this.#seen.length;
    this.#see();
    const from = Math.max(before - this.#delimiter.length + 1, 0);
    const index = this.#seen.indexOf(this.#delimiter, from);
    if (index >= 0) return new Uint8Array(this.#seen.subarray(0, index + this.#delimiter.length));
    if (this.#seen.length < this.#limit) return undefined;
    throw new DevmemError(
      'ERR_DEVMEM_TOO_LONG',
      `The first ${this.#limit} bytes hold no delimiter. Raise options.limit, or take the peer for one that speaks another protocol`,
    );
  }

  #see(): void {
    const size = Math.min(this.#cursor.bytesAhead, this.#limit);
    const more = size - this.#seen.length;
    if (more <= 0) return;
    const grown = Buffer.allocUnsafeSlow(size);
    this.#seen.copy(grown);
    copyAhead(this.#cursor, this.#seen.length, grown.subarray(this.#seen.length));
    this.#seen = grown;
  }
}
