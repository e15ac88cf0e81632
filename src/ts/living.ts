/** What there is of a kind in this thread, to be looked through; keeps nothing alive. */
export class Living<T extends object> implements Iterable<T> {
  readonly #references = new Set<WeakRef<T>>();
  readonly #collected = new FinalizationRegistry<WeakRef<T>>((reference) => {
    this.#references.delete(reference);
  });

  /** @returns takes it out again */
  add(item: T): () => void {
    const reference = new WeakRef(item);
    this.#references.add(reference);
    this.#collected.register(item, reference, reference);
    return () => {
      this.#references.delete(reference);
      this.#collected.unregister(reference);
    };
  }

  /** In the order in which they were added. */
  *[Symbol.iterator](): IterableIterator<T> {
    for (const reference of this.#references) {
      const item = reference.deref();
      if (item !== undefined) yield item;
    }
  }
}
