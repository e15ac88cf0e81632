// Few enough to be looked through at any time.
const LEAST = 64;

/** What there is of a kind in this thread, to be looked through; keeps nothing alive. */
export class Living<T extends object> implements Iterable<T> {
  readonly #references = new Set<WeakRef<T>>();
  // Those that were collected, and not taken out, are cleared away at this size. (A
  // FinalizationRegistry would tell of each, and cost more than all else here.)
  #clearAt = LEAST;

  /** @returns takes it out again */
  add(item: T): () => void {
    if (this.#references.size >= this.#clearAt) this.#clear();
    const reference = new WeakRef(item);
    this.#references.add(reference);
    return () => {
      this.#references.delete(reference);
    };
  }

  /** In the order in which they were added. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const reference of this.#references) {
      const item = reference.deref();
      if (item !== undefined) yield item;
    }
  }

  #clear(): void {
    for (const reference of this.#references) {
      if (reference.deref() === undefined) this.#references.delete(reference);
    }
    this.#clearAt = Math.max(2 * this.#references.size, LEAST);
  }
}
