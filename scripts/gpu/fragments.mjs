// @ts-check
// Fragments as a NIC leaves them in memory, and what gathering them has to give.

/** @typedef {import('../../dist/gather/engine.js').Ranges} Ranges */

/**
 * @param {number} length a multiple of 4
 * @param {(below: number) => number} random
 */
export function randomBytes(length, random) {
  const words = new Uint32Array(length / 4);
  for (let i = 0; i < words.length; i++) words[i] = random(2 ** 32);
  return Buffer.from(words.buffer);
}

/** Bytes of memory that each fragment has to itself: whole pages. */
const room = (/** @type {number} */ size) => (Math.floor(size / 4096) + 1) * 4096;

/**
 * Bytes of memory that so many fragments take.
 * @param {number} size bytes of one
 * @param {number} count
 */
export const memoryFor = (size, count) => room(size) * count;

/**
 * Fragments of one size, in any order, each in pages of its own: at their start or, not
 * `aligned`, anywhere.
 *
 * @param {number} size
 * @param {number} count
 * @param {boolean} aligned
 * @param {(below: number) => number} random
 * @returns {Ranges}
 */
export function fragmentsOf(size, count, aligned, random) {
  const offsets = Float64Array.from({ length: count }, (_, i) => {
    return i * room(size) + (aligned ? 0 : random(room(size) - size));
  });
  for (let i = count - 1; i > 0; i--) {
    const other = random(i + 1);
    const offset = offsets[i] ?? 0;
    offsets[i] = offsets[other] ?? 0;
    offsets[other] = offset;
  }
  return { offsets, sizes: new Uint32Array(count).fill(size), first: 0, count };
}

/**
 * The first fragment that is not in the target as it is in the source; -1: all are.
 *
 * @param {Buffer} source
 * @param {Ranges} ranges
 * @param {Buffer} target what is there from the first fragment on
 */
export function firstWrong(source, { offsets, sizes, count }, target) {
  let at = 0;
  for (let i = 0; i < count; i++) {
    const offset = offsets[i] ?? 0;
    const end = at + (sizes[i] ?? 0);
    if (source.compare(target, at, end, offset, offset + end - at) !== 0) return i;
    at = end;
  }
  return -1;
}
