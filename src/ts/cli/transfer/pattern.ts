/**
 * Streams that both ends know, so that a byte that lies anywhere else than it should
 * is found.
 *
 * - `random`: pseudo-random bytes, repeated with a period that is prime, so that no two
 *   pages of a dma-buf, and no two fragments near each other, hold the same.
 * - `sequence`: 1, 2, …, N-1, 0, 1, 2, …: what the kernel's ncdevmem looks for with
 *   `-v N`.
 */

// A prime near 4 MiB: not a multiple of any page or fragment size.
const RANDOM_PERIOD = 4_194_319;
// A sequence is repeated to about this size, to be sent in large pieces.
const SEQUENCE_BYTES = 4 * 2 ** 20;
const MAX_SEQUENCE = 255;

/** The seed where none is given. */
export const DEFAULT_SEED = 20231106;

export class Pattern {
  readonly #period: number;
  // Twice the period, so that any piece up to a period long is one slice.
  readonly #block: Buffer;

  /**
   * @param source - a seed of random bytes, any integer; or what is to be repeated.
   *   Both ends need the same
   */
  constructor(source: number | Buffer) {
    const period = typeof source === 'number' ? randomBytes(source) : source;
    this.#period = period.length;
    this.#block = Buffer.concat([period, period]);
  }

  /** @param length - the sequence's period, 1 to 255 */
  static sequence(length: number): Pattern {
    const period = Buffer.alloc(Math.ceil(SEQUENCE_BYTES / length) * length);
    for (let i = 0; i < period.length; i++) period[i] = (i + 1) % length;
    return new Pattern(period);
  }

  /** Bytes of the stream from `position` on; at most 4 MiB at once. */
  slice(position: number, size: number): Buffer {
    const start = position % this.#period;
    return this.#block.subarray(start, start + size);
  }

  /**
   * Whether `bytes` are what the stream has at `position`.
   *
   * @returns the index of the first byte that differs, or -1
   */
  mismatch(position: number, bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length; at += this.#period) {
      const piece = bytes.subarray(at, at + this.#period);
      const expected = this.slice(position + at, piece.length);
      if (expected.equals(piece)) continue;
      return at + piece.findIndex((byte, index) => byte !== expected[index]);
    }
    return -1;
  }
}

/**
 * Reads what a user writes for a pattern: `random`, `random:SEED`, `SEED` or
 * `sequence:N`; undefined if it is none of these.
 */
export function parsePattern(text: string): Pattern | undefined {
  const match = /^(?:(random|sequence)(?::(\d{1,10}))?|(\d{1,10}))$/.exec(text);
  if (match === null) return undefined;
  const [, kind, parameter, seed] = match;
  if (kind !== 'sequence') return new Pattern(Number(parameter ?? seed ?? DEFAULT_SEED));
  const length = Number(parameter);
  return length >= 1 && length <= MAX_SEQUENCE ? Pattern.sequence(length) : undefined;
}

// Marsaglia's xorshift32.
function randomBytes(seed: number): Buffer {
  const target = Buffer.alloc(RANDOM_PERIOD);
  let state = (seed ^ 0x9e3779b9) | 0 || 1;
  for (let i = 0; i < target.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    target[i] = state;
  }
  return target;
}
