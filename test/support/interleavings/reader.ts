import type { Random } from '../../soak/random.mjs';
import type { Consumer } from './consumer.js';
import type { Journal } from './journal.js';
import { drawPause, type Pause, rest } from './pause.js';

const MOST_AT_ONCE = 8;
// Calls that nobody waits for, in all.
const MOST_PENDING = 64;

/** One of those that read a socket, in any way that comes to mind, until its end. */
export class Reader {
  readonly #consumer: Consumer;
  readonly #random: Random;
  readonly #journal: Journal;
  readonly #pace: Pause;

  /** @param pace - the pause between one step and the next */
  constructor(consumer: Consumer, random: Random, journal: Journal, pace: Pause) {
    this.#pace = pace;
    this.#consumer = consumer;
    this.#random = random;
    this.#journal = journal;
  }

  async run(): Promise<void> {
    while (!this.#consumer.ledger.over) {
      await this.#consumer.ready();
      await this.#step();
      await rest(this.#pace);
    }
  }

  async #step(): Promise<void> {
    switch (
      this.#random.weighted({ one: 6, several: 3, leave: 1, loop: 2, pause: 4, release: 3 })
    ) {
      case 'one':
        return this.#consumer.take(this.#iterator());
      case 'several':
        return this.#takeSeveral();
      case 'leave':
        return this.#takeAndLeave();
      case 'loop':
        return this.#loop();
      case 'pause':
        return rest(drawPause(this.#random));
      case 'release':
        this.#consumer.shelf.releaseSome();
    }
  }

  #iterator() {
    return this.#consumer.iterator(this.#random);
  }

  // At once, a microtask apart, or a turn.
  async #takeSeveral(): Promise<void> {
    const count = this.#random.int(2, MOST_AT_ONCE);
    const apart: Pause = this.#random.pick(['none', 'none', 'microtask', 'turn']);
    const mixed = this.#random.chance(0.5);
    const same = this.#iterator();
    const calls: Promise<void>[] = [];
    this.#journal.note(`${count} calls of next(), apart: ${apart}`);
    for (let call = 0; call < count; call++) {
      calls.push(this.#consumer.take(mixed ? this.#iterator() : same));
      await rest(apart);
    }
    await Promise.all(calls);
  }

  async #takeAndLeave(): Promise<void> {
    if (this.#consumer.ledger.pending < MOST_PENDING) void this.#consumer.take(this.#iterator());
    // Such calls alone would never let anything else happen.
    await rest('turn');
  }

  async #loop(): Promise<void> {
    let left = this.#random.int(1, 2 * MOST_AT_ONCE);
    this.#journal.note(`a loop of ${left} steps`);
    try {
      for await (const item of this.#consumer.loop(this.#iterator())) {
        await this.#consumer.ready();
        await rest(drawPause(this.#random));
        if (item.released || this.#random.chance(0.3)) this.#consumer.shelf.releaseSome();
        if (--left === 0) break;
      }
    } catch {
      // The ledger has it.
    }
  }
}
