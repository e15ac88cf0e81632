/**
 * The stream that the demo and the tests send: pseudo-random bytes, repeated with
 * a period that is prime, so that no two pages of a dma-buf, and no two
 * fragments near each other, hold the same. A byte that lies anywhere else than
 * it should is found.
 */

// A prime near 4 MiB: not a multiple of any page or fragment size.
const PERIOD = 4_194_319;

export class Pattern {
  readonly #block: Buffer;

  /** @param seed - any integer; both ends need the same */
  constructor(seed: number) {
    // Twice the period, so that any piece up to a period long is one slice.
    this.#block = Buffer.alloc(2 * PERIOD);
    fillRandom(this.#block.subarray(0, PERIOD), seed);
    this.#block.copy(this.#block, PERIOD, 0, PERIOD);
  }

  /** Bytes of the stream from `position` on; at most 4 MiB at once. */
  slice(position: number, size: number): Buffer {
    const start = position % PERIOD;
    return this.#block.subarray(start, start + size);
  }

  /**
   * Whether `bytes` are what the stream has at `position`.
   *
   * @returns the index of the first byte that differs, or -1
   */
  mismatch(position: number, bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at += PERIOD) {
      const piece = bytes.subarray(at, at + PERIOD);
      const expected = this.slice(position + at, piece.length);
      if (expected.equals(piece)) continue;
      return at + piece.findIndex((byte, index) => byte !== expected[index]);
    }
    return -1;
  }
}

// Marsaglia's xorshift32.
function fillRandom(target: Uint8Array, seed: number): void {
  let state = (seed ^ 0x9e3779b9) | 0 || 1;
  for (let i = 0; i < target.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    target[i] = state;
  }
}
