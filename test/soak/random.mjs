// @ts-check
/** Seeded decisions: the same seed and label give the same ones, whatever else was decided. */

/** Pseudo-random numbers (mulberry32). */
export class Random {
  #seed;
  #state;

  /** @param {number} seed any integer */
  constructor(seed) {
    this.#seed = seed >>> 0;
    this.#state = this.#seed;
  }

  /**
   * A generator of its own, which depends on this one's seed and the label alone.
   * @param {string} label
   */
  fork(label) {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let i = 0; i < label.length; i++) {
      hash = Math.imul(hash ^ label.charCodeAt(i), 0x01000193);
    }
    return new Random(Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d));
  }

  /** A number in [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /**
   * An integer from `min` to `max`, both included.
   * @param {number} min
   * @param {number} max
   */
  int(min, max) {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /**
   * An integer of which the magnitude is even: as often in 1..10 as in 1000..10000.
   * @param {number} min 1 or more
   * @param {number} max
   */
  magnitude(min, max) {
    return Math.floor(min * (max / min) ** this.next());
  }

  /** @param {number} probability */
  chance(probability) {
    return this.next() < probability;
  }

  /**
   * @template T
   * @param {readonly T[]} choices not empty
   * @returns {T}
   */
  pick(choices) {
    return /** @type {T} */ (choices[Math.floor(this.next() * choices.length)]);
  }

  /**
   * One of the keys, each as often as its weight says.
   * @template {string} T
   * @param {Readonly<Record<T, number>>} weights
   * @returns {T}
   */
  weighted(weights) {
    const entries = /** @type {[T, number][]} */ (Object.entries(weights));
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [choice, weight] of entries) {
      left -= weight;
      if (left < 0) return choice;
    }
    return /** @type {[T, number]} */ (entries.at(-1))[0];
  }

  /**
   * The same elements in another order.
   * @template T
   * @param {readonly T[]} elements
   */
  shuffled(elements) {
    const result = [...elements];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.int(0, i);
      [result[i], result[j]] = [/** @type {T} */ (result[j]), /** @type {T} */ (result[i])];
    }
    return result;
  }
}
