import type { Batch, Fragment } from 'devmem-tcp';
import { pattern } from '../stream.js';
import type { Journal } from './journal.js';
import type { Verdict } from './verdict.js';

/** What an iterator of a socket yields. */
export type Item = Batch | Fragment;

/**
 * Looks at the bytes of an item, which have to be those of the stream from `position` on;
 * returns how many there are.
 */
export type See = (item: Item, position: number) => number;

/**
 * The oracle of one stream: knows what each call of next() has to come back with. What
 * comes is in the order of the calls, by whichever iterator; then at most one rejection;
 * then nothing but the end.
 */
export class Ledger {
  readonly #verdict: Verdict;
  readonly #journal: Journal;
  readonly #origin: number;
  /** Bytes seen. */
  position = 0;
  /** The rejection, if there was one. */
  error: unknown;
  #failed = false;
  #ended = false;
  #calls = 0;
  #answers = 0;
  readonly #waiting = new Set<() => void>();

  /** @param origin - where in the pattern the stream begins */
  constructor(verdict: Verdict, journal: Journal, origin = 0) {
    this.#verdict = verdict;
    this.#journal = journal;
    this.#origin = origin;
  }

  /** Whether there is no more to come. */
  get over(): boolean {
    return this.#ended || this.#failed;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Calls that have not come back. */
  get pending(): number {
    return this.#calls - this.#answers;
  }

  /** Waits until all calls came back. */
  async answered(): Promise<void> {
    while (this.pending > 0) await this.next();
  }

  /**
   * Watches a call that was made this moment.
   *
   * @returns resolves once it came back, with whatever
   */
  watch(call: Promise<IteratorResult<Item, undefined>>, see: See): Promise<void> {
    const number = this.#calls++;
    // The first reaction: no other sees it before.
    return call.then(
      ({ done, value }) => {
        this.#inOrder(number);
        if (done === true) this.#end(number);
        else this.#come(number, see(value, this.position));
      },
      (error: unknown) => {
        this.#inOrder(number);
        this.#fail(number, error);
      },
    );
  }

  /** Throws unless these are the bytes of the stream from `position` on. */
  check(position: number, piece: Uint8Array): void {
    const wrong = pattern.mismatch(this.#origin + position, piece);
    this.#verdict.hold(wrong === -1, () => {
      const [start, end] = [position, position + piece.length];
      return `byte ${position + wrong} of the stream is wrong, at ${wrong} of a piece that should be ${start}..${end}`;
    });
  }

  /** Waits until so many bytes were seen; false where the stream was over before. */
  async reached(position: number): Promise<boolean> {
    while (this.position < position && !this.over) await this.next();
    return this.position >= position;
  }

  /** Waits for the next answer. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #inOrder(number: number): void {
    const expected = this.#answers++;
    this.#verdict.hold(number === expected, () => {
      return `call ${number} of next() came back before call ${expected}`;
    });
  }

  #come(number: number, bytes: number): void {
    this.#verdict.hold(!this.over, () => `call ${number} got ${bytes} bytes after the end`);
    this.#verdict.hold(bytes > 0, () => `call ${number} got no bytes`);
    this.#journal.note(`call ${number}: bytes ${this.position}..${this.position + bytes}`);
    this.position += bytes;
    this.#tell();
  }

  #end(number: number): void {
    if (!this.#ended) this.#journal.note(`call ${number}: the end, behind byte ${this.position}`);
    this.#ended = true;
    this.#tell();
  }

  #fail(number: number, error: unknown): void {
    this.#journal.note(`call ${number}: rejected with ${String(error)}`);
    this.#verdict.hold(
      !this.over,
      () => `call ${number} was rejected after the end: ${String(error)}`,
    );
    this.#failed = true;
    this.error = error;
    this.#tell();
  }

  #tell(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
