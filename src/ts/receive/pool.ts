/** A binding's memory: whose it is, how much of it is held, and who waits for some. */
import { DevmemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { reserve, settle } from '../memory/ownership.js';
import { type Layout, native, type Pool, type TokenQueue, type ZcrxQueue } from '../native.js';
import { sharedDoubles } from './stats.js';
import type { Transport } from './transports/transport.js';

/** Someone who stopped reading for want of memory. */
export interface Waiter {
  /** Whether enough is free for reading on to pay, or with `patient` false, any. */
  canResume(patient: boolean): boolean;
  resumeReading(): void;
  /** What was released is not enough. */
  stillShort(): void;
}

/** What is agreed when the memory is bound. */
export interface PoolTerms {
  transport: Transport;
  /** The binding's id, as in descriptors. */
  id: number;
  /** Bytes of the pages that a fragment keeps from being filled again. */
  pageSize: number;
  /** Bytes that may be held before reading stops. */
  limit: number;
  /** The rx queue, where io_uring provides its memory; or the token queue of its sockets. */
  queue: ZcrxQueue | TokenQueue | undefined;
}

// A page that came free is not worth a wake by itself; waiting for more than this would
// cost whoever has nothing more to release.
const IMPATIENT_AFTER_MS = 2;

/**
 * Owns its memory from reserve() until it is unbound, no socket receives into it any more
 * and nothing of it is held.
 */
export class MemoryPool {
  readonly memory: DmaBuf;
  readonly #readout: Float64Array;
  readonly #layout: Layout['pool'];
  #native: Pool | undefined;
  #limit = 0;
  #bound = true;
  readonly #waiters = new Set<Waiter>();
  #impatient = false;

  private constructor(memory: DmaBuf) {
    this.memory = memory;
    this.#layout = native().layout.pool;
    this.#readout = sharedDoubles(this.#layout.length);
  }

  /**
   * Takes the memory, at once: whoever comes later finds it in use.
   *
   * @throws DevmemError ERR_DEVMEM_MEMORY_IN_USE
   */
  static reserve(memory: DmaBuf): MemoryPool {
    const pool = new MemoryPool(memory);
    reserve(memory, pool);
    return pool;
  }

  /**
   * Makes it what sockets receive into. To be called once, when the memory is bound.
   *
   * @throws DevmemError ERR_DEVMEM_CLOSED where the memory was closed meanwhile
   */
  open({ transport, id, pageSize, limit, queue }: PoolTerms): void {
    if (this.memory.closed) {
      throw new DevmemError('ERR_DEVMEM_CLOSED', 'options.memory was closed while it was bound');
    }
    const { Pool: NativePool } = native();
    const filler = queue ?? transport.mapping(this.memory);
    this.#native = new NativePool(id, this.memory.size, pageSize, limit, this.#readout, filler);
    this.#limit = limit;
  }

  /** For native code. */
  get native(): Pool {
    return this.#native!;
  }

  /** Bytes of memory that fragments in use keep from being filled again. */
  get held(): number {
    return this.#readout[this.#layout.held]!;
  }

  /** Bytes that may be held before reading stops. */
  get limit(): number {
    return this.#limit;
  }

  /** Bytes that may be held besides. */
  get available(): number {
    return this.limit - this.held;
  }

  /** Whether anything may still be written to the memory, or be read there. */
  get usesMemory(): boolean {
    return this.#bound || this.#readout[this.#layout.members]! > 0 || this.held > 0;
  }

  /** Nothing new is written to the memory from here on, but by sockets that have it. */
  unbind(): void {
    this.#bound = false;
    this.settle();
  }

  /** Whether it is (still) the one that receives into the memory. */
  get ownsMemory(): boolean {
    return this.memory.user === this;
  }

  /** To be called when one use of the memory ended. */
  settle(): void {
    if (!this.usesMemory) settle(this.memory, this);
  }

  /** Calls the waiter's resumeReading() once enough was released, unless it gave up. */
  wait(waiter: Waiter): void {
    this.#waiters.add(waiter);
  }

  forget(waiter: Waiter): void {
    this.#waiters.delete(waiter);
  }

  /** To be called after each release. */
  released(): void {
    if (this.#waiters.size > 0) {
      this.#wake(true);
      if (this.#waiters.size > 0) this.#losePatience();
    }
    if (!this.#bound) this.settle();
  }

  #wake(patient: boolean): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.canResume(patient)) {
        this.#waiters.delete(waiter);
        waiter.resumeReading();
      } else {
        waiter.stillShort();
      }
    }
  }

  #losePatience(): void {
    if (this.#impatient) return;
    this.#impatient = true;
    setTimeout(() => {
      this.#impatient = false;
      this.#wake(false);
    }, IMPATIENT_AFTER_MS);
  }
}
