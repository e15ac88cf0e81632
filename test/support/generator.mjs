// @ts-check
/** Pseudo-random numbers that a seed brings back, also in programs that run by themselves. */

/**
 * Numbers from 0 on and below the given one.
 *
 * @param {number} seed
 * @returns {(below: number) => number}
 */
export function generator(seed) {
  let state = Math.imul(seed, 2_654_435_761) || 1;
  return (below) => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
