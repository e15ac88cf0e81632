import type { DevmemSocket } from 'devmem-tcp';
import type { Consumer } from './consumer.js';
import { rest } from './pause.js';
import type { Opened } from './opening.js';
import type { Peer } from './peer.js';
import type { Ending } from './endings.js';
import type { Scenario } from './scenario.js';
import type { Random } from '../../soak/random.mjs';
import type { Journal } from './journal.js';
import type { Verdict } from './verdict.js';

interface Parts {
  opened: Opened;
  consumer: Consumer;
  peer: Peer;
  random: Random;
  verdict: Verdict;
  journal: Journal;
}

/** Ends the stream as the scenario has it, at its moment. */
export class End {
  /** What the rejection has to be, where it is known. */
  readonly reason = new Error('had enough');
  /** Whether anything but the peer's end ended the stream. */
  came = false;
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async run({ ending, endAt, endPause }: Scenario): Promise<void> {
    const { consumer, journal } = this.#parts;
    if (ending === 'peer ends') return;
    await consumer.ledger.reached(endAt);
    await rest(endPause);
    journal.note(`ends: ${ending}`);
    // A loop may run out before it is left.
    this.came = ending !== 'break' && ending !== 'throw';
    await this.#ways[ending]();
    journal.note('ended');
  }

  readonly #ways: Readonly<Record<Ending, () => unknown>> = {
    'peer ends': () => {},
    'peer resets': () => this.#parts.peer.reset(),
    close: () => this.#gently(this.#socket.close()),
    dispose: () => this.#gently(this.#socket[Symbol.asyncDispose]()),
    destroy: () => this.#socket.destroy(),
    'destroy with an error': () => this.#socket.destroy(this.reason),
    abort: () => this.#parts.opened.controller.abort(this.reason),
    return: () => this.#gently(this.#iterator().return!()),
    break: () => this.#leaveLoop('break'),
    throw: () => this.#leaveLoop('throw'),
    'handler returns': () => this.#parts.opened.leave(),
    'handler throws': () => this.#parts.opened.leave(this.reason),
    'server closes': () => this.#gently(this.#parts.opened.closeServer()),
  };

  get #socket(): DevmemSocket {
    return this.#parts.opened.socket;
  }

  #iterator() {
    return this.#parts.consumer.iterator(this.#parts.random);
  }

  // What waits for the peer is given its end.
  async #gently(closing: Promise<unknown>): Promise<void> {
    const { peer, random } = this.#parts;
    await rest(random.pick(['none', 'microtask', 'turn', 1]));
    peer.end();
    await closing;
  }

  async #leaveLoop(how: 'break' | 'throw'): Promise<void> {
    const { consumer, random } = this.#parts;
    const iterator = this.#iterator();
    const leave = (): Promise<unknown> => {
      this.came = true;
      return iterator.return!();
    };
    try {
      for await (const item of consumer.loop(iterator, leave)) {
        if (how === 'throw') throw this.reason;
        if (item.released || random.chance(0.5)) break;
      }
    } catch (error) {
      if (error !== this.reason) throw error;
    }
  }
}
