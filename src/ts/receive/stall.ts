/** Telling that a socket is not read for want of memory. */
import { channel } from 'node:diagnostics_channel';

import type { MemoryPool } from './pool.js';

const stalled = channel('devmem-tcp:stall');

/** Published on the diagnostics channel `devmem-tcp:stall`: reading stopped for want of memory. */
export interface StallMessage {
  /** The connection's ends. */
  socket: string;
  /** Bytes of the binding's memory that fragments in use hold. */
  heldBytes: number;
  /** The limit that they reached. */
  heldLimit: number;
}

/** One socket's stalls: each is published at once, and warned of where it lasts. */
export class StallReport {
  readonly #name: () => string;
  #timer: NodeJS.Timeout | undefined;

  /** @param name - tells the connection's ends */
  constructor(name: () => string) {
    this.#name = name;
  }

  /**
   * @param pool - the one that is short
   * @param warningMs - milliseconds from here to the warning, or Infinity
   */
  begin(pool: MemoryPool, warningMs: number): void {
    this.end();
    if (warningMs < Infinity) {
      this.#timer = setTimeout(() => {
        this.#warn(pool, warningMs);
      }, warningMs).unref();
    }
    if (stalled.hasSubscribers) {
      const { held: heldBytes, limit: heldLimit } = pool;
      stalled.publish({ socket: this.#name(), heldBytes, heldLimit } satisfies StallMessage);
    }
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #warn({ held, limit }: MemoryPool, ms: number): void {
    process.emitWarning(
      `${this.#name()} has not been read for ${ms / 1000} s: fragments in use hold ${held} of ${limit} bytes of its memory`,
      {
        type: 'DevmemStallWarning',
        code: 'DEVMEM_STALL',
        detail:
          'Release fragments and batches (or declare them with `using`), or allocate more memory.',
      },
    );
  }
}
