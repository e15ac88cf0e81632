import type { Binding } from 'devmem-tcp';
import type { Random } from '../../soak/random.mjs';
import { Consumer } from './consumer.js';
import { Journal } from './journal.js';
import { Ledger } from './ledger.js';
import { type Opened, openConnected } from './opening.js';
import { Peer } from './peer.js';
import type { BystanderPlan } from './scenario.js';
import { Shelf } from './shelf.js';
import type { Verdict } from './verdict.js';

// Where in the pattern its stream begins, far from the other one's.
const ORIGIN = 3_000_017;

/** A second socket of the same binding: takes a little, reads ahead, and is left alone. */
export class Bystander {
  readonly #plan: BystanderPlan;
  readonly #opened: Opened;
  readonly #consumer: Consumer;
  readonly #peer: Peer;
  readonly #sending: Promise<void>;
  readonly #verdict: Verdict;

  private constructor(
    opened: Opened,
    plan: BystanderPlan,
    parts: { random: Random; verdict: Verdict; journal: Journal },
  ) {
    const { random, verdict } = parts;
    const journal = new Journal('bystander: ', parts.journal);
    this.#plan = plan;
    this.#opened = opened;
    this.#verdict = verdict;
    this.#consumer = new Consumer(opened.socket, {
      ledger: new Ledger(verdict, journal, ORIGIN),
      shelf: new Shelf(random),
      keeping: plan.keeps ? 'to the end' : 'not at all',
      random,
      verdict,
    });
    this.#peer = new Peer(opened.peer, verdict, journal, { origin: ORIGIN });
    for (let take = 0; take < plan.takes; take++) void this.#take();
    this.#sending = verdict.watch(this.#send());
  }

  static async open(
    binding: Binding,
    plan: BystanderPlan,
    parts: { random: Random; verdict: Verdict; journal: Journal },
  ): Promise<Bystander> {
    const opened = await openConnected(binding, { allowHalfOpen: false, lowWaterMark: 1 });
    return new Bystander(opened, plan, parts);
  }

  /** Ends it as planned, and waits until it is gone. What it keeps stays. */
  async finish(): Promise<void> {
    const { socket } = this.#opened;
    const { ledger } = this.#consumer;
    if (this.#plan.after === 'read') await this.#readOn();
    else if (this.#plan.after === 'destroy') socket.destroy();
    else void this.#verdict.watch(socket.close());
    this.#peer.end();
    await ledger.answered();
    await socket.close();
    await this.#peer.destroy();
    await this.#sending;
    await this.#opened.end();
  }

  releaseAll(): void {
    this.#consumer.shelf.check();
    this.#consumer.shelf.releaseAll();
  }

  async #send(): Promise<void> {
    await this.#peer.send([{ bytes: this.#plan.bytes, pause: 'none' }]);
    this.#peer.end();
  }

  async #readOn(): Promise<void> {
    const { ledger, shelf } = this.#consumer;
    while (!ledger.over) {
      shelf.releaseAll();
      // What waits since the beginning comes first, and may need what it gets itself.
      await Promise.race([this.#take(), ledger.next()]);
    }
    shelf.releaseAll();
    const { bytes } = this.#plan;
    this.#verdict.hold(ledger.position === bytes && !ledger.failed, () => {
      return `the bystander saw ${ledger.position} of ${bytes} bytes: ${String(ledger.error)}`;
    });
  }

  #take(): Promise<void> {
    return this.#consumer.take(this.#opened.socket.batches());
  }
}
