import type { Lease } from './lease.js';

/**
 * Bytes of one fragment on their way back, before the fragment itself: neighbours together,
 * at the end of this turn of the event loop. Where all of them come together, nothing is
 * given back but the fragment.
 */
export class PartReturn {
  readonly #lease: Lease;
  readonly #size: number;
  // What is on its way.
  #start = 0;
  #end = 0;
  #scheduled = false;

  /**
   * @param lease - of the fragment alone
   * @param size - its bytes
   */
  constructor(lease: Lease, size: number) {
    this.#lease = lease;
    this.#size = size;
  }

  /** Bytes that nobody holds any more, once each. */
  add(start: number, bytes: number): void {
    const end = start + bytes;
    if (start === this.#end) this.#end = end;
    else if (end === this.#start) this.#start = start;
    else {
      this.#flush();
      this.#start = start;
      this.#end = end;
    }
    if (!this.#scheduled) this.#schedule();
  }

  /** All of them came; the fragment goes back next. */
  end(): void {
    if (this.#end - this.#start < this.#size) this.#flush();
    this.#start = this.#end = 0;
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const start = this.#start;
    const bytes = this.#end - start;
    this.#start = this.#end;
    if (bytes > 0) this.#lease.releasePart(start, bytes);
  }
}
