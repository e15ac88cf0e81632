/**
 * Single releases on their way to the kernel, gathered into one call: flushed
 * when their batch is done, when the queue is full, or at the end of this turn of
 * the event loop.
 */
export class ReturnQueue {
  readonly #capacity: number;
  readonly #flushTo: (numbers: Uint32Array, count: number) => void;
  // Made when it is first needed: who releases whole batches never does.
  #numbers: Uint32Array | undefined;
  #count = 0;
  #scheduled = false;

  /** @param capacity - releases that one call takes at most */
  constructor(capacity: number, flushTo: (numbers: Uint32Array, count: number) => void) {
    this.#capacity = capacity;
    this.#flushTo = flushTo;
  }

  add(number: number, flush: boolean): void {
    const numbers = (this.#numbers ??= new Uint32Array(this.#capacity));
    numbers[this.#count++] = number;
    if (flush || this.#count === numbers.length) this.#flush();
    else if (!this.#scheduled) this.#schedule();
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const count = this.#count;
    this.#count = 0;
    if (this.#numbers !== undefined && count > 0) this.#flushTo(this.#numbers, count);
  }
}
