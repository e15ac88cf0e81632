import type { Batch, DevmemSocket, DmaBuf, Fragment } from 'devmem-tcp';
import type { Random } from '../../soak/random.mjs';
import { lookAt } from './held.js';
import type { Item, Ledger, See } from './ledger.js';
import { rest } from './pause.js';
import type { Halt, Keeping } from './scenario.js';
import type { Shelf } from './shelf.js';
import type { Verdict } from './verdict.js';

type Iterator =
  AsyncIterableIterator<Batch, undefined> | AsyncIterableIterator<Fragment, undefined>;

interface Parts {
  ledger: Ledger;
  shelf: Shelf;
  keeping: Keeping;
  halts?: readonly Halt[];
  random: Random;
  verdict: Verdict;
}

/** What all readers of a socket share: its iterators, what is kept, and the ledger. */
export class Consumer {
  static readonly #MOST_ITERATORS = 4;
  readonly socket: DevmemSocket;
  readonly ledger: Ledger;
  readonly shelf: Shelf;
  readonly #keeping: Keeping;
  readonly #random: Random;
  readonly #verdict: Verdict;
  readonly #memory: DmaBuf;
  readonly #halts: Halt[];
  #halted = Promise.resolve();
  readonly #iterators: Iterator[] = [];

  constructor(socket: DevmemSocket, parts: Parts) {
    this.socket = socket;
    this.ledger = parts.ledger;
    this.shelf = parts.shelf;
    this.#keeping = parts.keeping;
    this.#random = parts.random;
    this.#halts = [...(parts.halts ?? [])];
    this.#verdict = parts.verdict;
    this.#memory = socket.binding.memory;
  }

  /** An iterator, of fragments or of batches, perhaps one that others use. */
  iterator(random: Random): Iterator {
    const known = this.#iterators;
    if (known.length > 0 && random.chance(0.8)) return random.pick(known);
    const iterator = random.chance(0.5)
      ? this.socket.batches()
      : this.socket[Symbol.asyncIterator]();
    if (known.length < Consumer.#MOST_ITERATORS) known.push(iterator);
    return iterator;
  }

  /** Waits while nobody is to read. */
  async ready(): Promise<void> {
    const [halt] = this.#halts;
    if (halt !== undefined && this.ledger.position >= halt.at) {
      this.#halts.shift();
      this.#halted = rest(halt.milliseconds);
    }
    await this.#halted;
  }

  /** Makes a call of next(); resolves once it came back, with whatever. */
  take(iterator: Iterator): Promise<void> {
    return this.#watch(iterator.next());
  }

  /** The iterator for a loop: `leave` tells what becomes of the connection where it is left. */
  loop(iterator: Iterator, leave?: () => Promise<unknown>): AsyncIterable<Item> {
    const next = (): Promise<IteratorResult<Item, undefined>> => {
      const call = iterator.next();
      void this.#watch(call);
      return call;
    };
    const close = async (): Promise<IteratorResult<Item, undefined>> => {
      await leave?.();
      return { done: true, value: undefined };
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: close }) };
  }

  #watch(call: Promise<IteratorResult<Item, undefined>>): Promise<void> {
    return this.#verdict.watch(this.ledger.watch(call, this.#see));
  }

  readonly #see: See = (item, position) => {
    const { binding } = this.socket;
    this.#verdict.hold(binding.heldBytes <= binding.heldLimit, () => {
      return `${binding.heldBytes} bytes are held, and the limit is ${binding.heldLimit}`;
    });
    const of = { ledger: this.ledger, memory: this.#memory, random: this.#random };
    const [held, bytes] = lookAt(item, position, of);
    if (this.#keeps()) this.shelf.keep(held);
    else held.releaseAll();
    return bytes;
  };

  #keeps(): boolean {
    if (this.#keeping === 'for a while') return this.#random.chance(0.6);
    return this.#keeping === 'to the end';
  }
}
