import type { Binding, StallMessage } from 'devmem-tcp';
import { Recorder } from '../diagnostics.js';
import type { Journal } from './journal.js';
import { rest } from './pause.js';
import type { Scenario } from './scenario.js';
import type { Shelf } from './shelf.js';
import type { Verdict } from './verdict.js';

const PAGE = 4096;

/** Gives something back where reading stopped for want of memory: as little as has to do. */
export class Relief implements Disposable {
  readonly #recorder = new Recorder<StallMessage>('devmem-tcp:stall');
  readonly #shelf: Shelf;
  readonly #binding: Binding;
  readonly #scenario: Scenario;
  readonly #verdict: Verdict;
  readonly #journal: Journal;
  /** What was held at each that is still to be answered. */
  readonly #stalls: number[] = [];
  #over = false;

  constructor(
    parts: { shelf: Shelf; binding: Binding; scenario: Scenario },
    verdict: Verdict,
    journal: Journal,
  ) {
    this.#shelf = parts.shelf;
    this.#binding = parts.binding;
    this.#scenario = parts.scenario;
    this.#verdict = verdict;
    this.#journal = journal;
  }

  /** From now until the end of its block. */
  listen(): void {
    this.#recorder.onMessage = ({ heldBytes, heldLimit, socket }) => {
      this.#journal.note(`stall of ${socket}: ${heldBytes} of ${heldLimit} held`);
      void this.#verdict.watch(this.#give(heldBytes));
    };
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#recorder[Symbol.dispose]();
  }

  async #give(heldBytes: number): Promise<void> {
    this.#stalls.push(heldBytes);
    // Whoever gives already hears of it.
    if (this.#stalls.length > 1) return;
    while (this.#stalls.length > 0) {
      await this.#giveOnce(this.#stalls[0]!);
      this.#stalls.shift();
    }
  }

  async #giveOnce(held: number): Promise<void> {
    const { relief, reliefPause } = this.#scenario;
    // In the midst of the stall, or later.
    if (reliefPause === 'none') this.#shelf.releaseFirst();
    else await rest(reliefPause);
    // What had come is with the consumer by then, or still ready for it.
    await rest('turn');
    const enough = held - Math.max(this.#binding.heldLimit / 4, PAGE);
    while (this.#lasts && this.#binding.heldBytes > enough) {
      // Single releases count at the end of the turn.
      const pause = this.#shelf.empty ? 1 : 'turn';
      this.#release(relief);
      await rest(pause);
    }
  }

  /** Whether nobody has heard of another stall, which would be of one who read on. */
  get #lasts(): boolean {
    return !this.#over && this.#stalls.length === 1;
  }

  #release(relief: Scenario['relief']): void {
    if (relief === 'all') this.#shelf.releaseAll();
    else if (relief === 'a quarter') this.#shelf.releaseFirst();
    else this.#shelf.releaseSome();
  }
}
