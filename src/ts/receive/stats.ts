import { isSupported, native } from '../native.js';

/** What a socket counted. All values are totals since it was opened. */
export interface ReceiveStats {
  /** Times the event loop found the socket readable. */
  wakes: number;
  /** recvmsg or recv calls, or requests of io_uring. */
  receiveCalls: number;
  /** Batches handed over. */
  batches: number;
  /** Fragments in them, of both kinds. */
  fragments: number;
  /** Bytes that the NIC wrote to device memory. */
  deviceBytes: number;
  /** Bytes that came through the kernel's own memory, as linear fragments. */
  linearBytes: number;
  /** Bytes that the copy transport copied to memory. */
  copiedBytes: number;
  /** Fragments that the kernel counted as held. */
  tokensTaken: number;
  /** Of those, the ones that it said it freed, or that a token queue was given for it. */
  tokensReturned: number;
  /**
   * Fragments given back that the kernel did not know: 0 unless something is wrong. Of a
   * token queue those of any of its sockets, counted with the one that gave back last.
   */
  tokensMissed: number;
  /**
   * SO_DEVMEM_DONTNEED calls; of io_uring the calls to take what found no place in its ring;
   * of a token queue the calls to take what was in it (DEVMEM_QUEUE_FLUSH), counted with the
   * socket that gave back last.
   */
  returnCalls: number;
  /** Of those, the ones that failed. */
  returnErrors: number;
  /** Times reading stopped because too much memory was held. */
  stalls: number;
}

/**
 * The counters in the order in which `socket.counters` holds them, as the addon has it
 * (src/native/receive/counters.h). None where there is no addon.
 */
export const COUNTER_NAMES: readonly (keyof ReceiveStats)[] = Object.freeze(
  isSupported() ? ([...native().layout.counters] as (keyof ReceiveStats)[]) : [],
);

/**
 * Counters that native code writes and JavaScript reads without a call. Shared
 * memory: unlike an ArrayBuffer it cannot be taken away from native code by a
 * transfer, and other threads may watch it.
 */
export function createCounters(): Float64Array {
  return sharedDoubles(COUNTER_NAMES.length);
}

/** Doubles in shared memory, which is what native code takes for writing to. */
export function sharedDoubles(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT));
}

/** Counters as an object. */
export function readStats(counters: Float64Array): ReceiveStats {
  return Object.fromEntries(
    COUNTER_NAMES.map((name, index) => [name, counters[index]!]),
  ) as unknown as ReceiveStats;
}
