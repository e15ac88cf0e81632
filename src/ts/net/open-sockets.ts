import { Living } from '../living.js';
import { COUNTER_NAMES, createCounters, readStats, type ReceiveStats } from '../receive/stats.js';

/** A thread's open sockets, and what all that it has had have counted. */
export class OpenSockets<Socket extends { readonly counters: Float64Array }> {
  readonly #living = new Living<Socket>();
  #opened = 0;
  // Of those that are gone. Made when needed: without an addon there are no counters.
  #gone: Float64Array | undefined;

  /**
   * @param counters - the socket's, which are read once more when it is removed
   * @returns its number, and what takes it out
   */
  add(socket: Socket, counters: Float64Array): { number: number; remove: () => void } {
    const takeOut = this.#living.add(socket);
    const remove = (): void => {
      takeOut();
      this.#gone ??= createCounters();
      addTo(this.#gone, counters);
    };
    return { number: ++this.#opened, remove };
  }

  get open(): Iterable<Socket> {
    return this.#living;
  }

  /** Sums over all sockets, open and gone. */
  totals(): ReceiveStats {
    const sums = createCounters();
    if (this.#gone !== undefined) addTo(sums, this.#gone);
    for (const { counters } of this.#living) addTo(sums, counters);
    return readStats(sums);
  }
}

function addTo(sums: Float64Array, counters: Float64Array): void {
  for (let i = 0; i < COUNTER_NAMES.length; i++) sums[i]! += counters[i]!;
}
