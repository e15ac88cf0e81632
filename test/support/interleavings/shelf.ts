import type { Random } from '../../soak/random.mjs';
import type { Held } from './held.js';

/** Leases that are kept, and given back in any order. */
export class Shelf {
  readonly #random: Random;
  readonly #held: Held[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  get empty(): boolean {
    return this.#held.length === 0;
  }

  get length(): number {
    return this.#held.length;
  }

  keep(held: Held): void {
    this.#held.push(held);
  }

  /** Throws unless all that is kept has its bytes. */
  check(): void {
    for (const held of this.#held) held.check();
  }

  /** Gives something back, having looked at it once more. */
  releaseSome(): void {
    if (this.empty) return;
    const index = this.#random.int(0, this.#held.length - 1);
    const held = this.#held[index]!;
    held.check();
    if (this.#random.chance(0.5) && held.releasePart()) return;
    this.#held.splice(index, 1);
    held.releaseAll();
  }

  /** Gives back a part of what came first. */
  releaseFirst(): void {
    if (this.#held[0]?.releasePart() === false) this.#held.shift();
  }

  releaseAll(): void {
    for (const held of this.#random.shuffled(this.#held.splice(0))) {
      held.check();
      held.releaseAll();
    }
  }
}
