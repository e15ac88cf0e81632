/**
 * Credits: how much of a binding's memory its sockets may hold.
 *
 * The kernel does not hold a sender back when the dma-buf runs dry (held
 * fragments are not charged to the socket's receive memory), so the receiver
 * does: native code stops reading at the limit, and reading resumes here once
 * enough was released.
 */

/** Bytes held and the limit, in memory that native code reads (transport.h struct Credits). */
const HELD = 0;
const LIMIT = 1;
/** Bytes that the smallest fragment holds. */
const UNIT = 2;

/** Someone who stopped reading for want of credits. */
export interface Waiter {
  resumeReading(): void;
}

export class Credits {
  /** Shared with native code. */
  readonly values = new Float64Array(new SharedArrayBuffer(3 * Float64Array.BYTES_PER_ELEMENT));
  readonly #waiters = new Set<Waiter>();
  // Resuming at once after each release would stall again after each fragment.
  readonly #resumeBelow: number;

  /**
   * @param limit - bytes that may be held before reading stops
   * @param unit - bytes that the smallest fragment holds, so that must be free for reading
   *   to go on at all: the NIC's page, or the copy transport's chunk
   */
  constructor(limit: number, unit: number) {
    this.values[LIMIT] = limit;
    this.values[UNIT] = unit;
    this.#resumeBelow = limit - Math.max(limit / 4, unit);
  }

  /** Bytes of memory that fragments in use keep from the NIC. */
  get held(): number {
    return this.values[HELD]!;
  }

  get limit(): number {
    return this.values[LIMIT]!;
  }

  /** Bytes that may be held besides. */
  get available(): number {
    return this.limit - this.held;
  }

  /** Calls the waiter's resumeReading() once enough was released. */
  wait(waiter: Waiter): void {
    this.#waiters.add(waiter);
    this.released();
  }

  forget(waiter: Waiter): void {
    this.#waiters.delete(waiter);
  }

  /** To be called after each release. */
  released(): void {
    if (this.#waiters.size === 0 || this.held > this.#resumeBelow) return;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.resumeReading();
  }
}
