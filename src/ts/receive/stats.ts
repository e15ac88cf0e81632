/** What a socket counted. All values are totals since it was opened. */
export interface ReceiveStats {
  /** Times the event loop found the socket readable. */
  wakes: number;
  /** recvmsg or recv calls. */
  receiveCalls: number;
  batches: number;
  fragments: number;
  /** Bytes that the NIC wrote to device memory. */
  deviceBytes: number;
  /** Bytes that came through the kernel's own memory, as linear fragments. */
  linearBytes: number;
  /** Bytes that the copy transport copied to memory. */
  copiedBytes: number;
  /** Fragments that the kernel counted as held. */
  tokensTaken: number;
  /** Of those, the ones that it said it freed. */
  tokensReturned: number;
  /** Fragments given back that the kernel did not know: 0 unless something is wrong. */
  tokensMissed: number;
  /** SO_DEVMEM_DONTNEED calls. */
  returnCalls: number;
  /** Of those, the ones that failed. */
  returnErrors: number;
  /** Times reading stopped because too much memory was held. */
  stalls: number;
}

/**
 * The counters in the order in which `socket.counters` holds them (struct Counters
 * in src/native/receive/transport.h).
 */
export const COUNTER_NAMES = [
  'wakes',
  'receiveCalls',
  'batches',
  'fragments',
  'deviceBytes',
  'linearBytes',
  'copiedBytes',
  'tokensTaken',
  'tokensReturned',
  'tokensMissed',
  'returnCalls',
  'returnErrors',
  'stalls',
] as const satisfies readonly (keyof ReceiveStats)[];

/**
 * Counters that native code writes and JavaScript reads without a call. Shared
 * memory: unlike an ArrayBuffer it cannot be taken away from native code by a
 * transfer, and other threads may watch it.
 */
export function createCounters(): Float64Array {
  return new Float64Array(
    new SharedArrayBuffer(COUNTER_NAMES.length * Float64Array.BYTES_PER_ELEMENT),
  );
}

export function readStats(counters: Float64Array): ReceiveStats {
  return Object.fromEntries(
    COUNTER_NAMES.map((name, index) => [name, counters[index]!]),
  ) as unknown as ReceiveStats;
}
