/** Leases that a consumer keeps: what they have to hold until they are released. */
import type { Batch, DmaBuf, Fragment } from 'devmem-tcp';
import type { Random } from '../../soak/random.mjs';
import { thrownBy } from '../thrown.js';
import type { Ledger } from './ledger.js';
import { lookAtFragment, WAYS, WAYS_OF_THE_REST } from './looking.js';

export interface Held {
  /** Throws unless it has the bytes that it came with. */
  check(): void;
  /** Gives a part of it back; false where that was all. */
  releasePart(): boolean;
  /** Gives back what is left, if any. */
  releaseAll(): void;
}

function isBatch(item: Batch | Fragment): item is Batch {
  return 'length' in item;
}

/** What a consumer knows of its stream. */
export interface Of {
  ledger: Ledger;
  memory: DmaBuf;
  random: Random;
}

/**
 * Looks at an item for the first time.
 *
 * @param position - of its first byte in the stream
 * @returns what to keep of it, and its bytes
 */
export function lookAt(item: Batch | Fragment, position: number, of: Of): [Held, number] {
  if (!isBatch(item)) return [new HeldFragment(item, position, of), item.size];
  return [new HeldBatch(item, position, of), item.byteLength];
}

class HeldFragment implements Held {
  readonly #fragment: Fragment;
  readonly #position: number;
  readonly #of: Of;

  constructor(fragment: Fragment, position: number, of: Of) {
    this.#fragment = fragment;
    this.#position = position;
    this.#of = of;
    this.check();
  }

  check(): void {
    lookAtFragment(this.#fragment, (piece) => {
      expectEqual('size', this.#fragment.size, piece.length);
      this.#of.ledger.check(this.#position, piece);
    });
  }

  releasePart(): boolean {
    this.releaseAll();
    return false;
  }

  releaseAll(): void {
    const fragment = this.#fragment;
    fragment.release();
    fragment.release();
    expectEqual('released', fragment.released, true);
    expectReleased(() => fragment.size);
    expectReleased(() => fragment.bytes);
  }
}

class HeldBatch implements Held {
  readonly #batch: Batch;
  readonly #of: Of;
  /** Of those not released. */
  readonly #positions = new Map<number, number>();

  constructor(batch: Batch, position: number, of: Of) {
    this.#batch = batch;
    this.#of = of;
    let at = position;
    of.random.pick(WAYS)(batch, of.memory, (piece) => {
      of.ledger.check(at, piece);
      at += piece.length;
    });
    expectEqual('byteLength', batch.byteLength, at - position);
    for (let index = 0, start = position; index < batch.length; index++) {
      this.#positions.set(index, start);
      start += batch.size(index);
    }
  }

  check(): void {
    const { ledger, random, memory } = this.#of;
    const positions = [...this.#positions.values()];
    random.pick(WAYS_OF_THE_REST)(this.#batch, memory, (piece) => {
      ledger.check(positions.shift()!, piece);
    });
    expectEqual('fragments left out', positions.length, 0);
  }

  releasePart(): boolean {
    const index = this.#of.random.pick([...this.#positions.keys()]);
    const fragment = this.#batch.fragment(index);
    fragment.release();
    this.#positions.delete(index);
    expectReleased(() => fragment.size);
    if (this.#positions.size === 0) this.#expectAllReleased();
    else expectReleased(() => this.#batch.size(index));
    return this.#positions.size > 0;
  }

  releaseAll(): void {
    if (!this.#batch.released && this.#of.random.chance(0.2)) {
      for (const fragment of this.#batch) fragment.release();
    }
    this.#batch.release();
    this.#batch.release();
    this.#expectAllReleased();
  }

  #expectAllReleased(): void {
    expectEqual('released', this.#batch.released, true);
    expectReleased(() => this.#batch.byteLength);
    expectReleased(() => this.#batch.size(0));
    expectReleased(() => this.#batch.forEach(() => {}));
  }
}

function expectEqual(what: string, actual: unknown, expected: unknown): void {
  if (actual === expected) return;
  throw new Error(`${what} is ${String(actual)} and should be ${String(expected)}`);
}

function expectReleased(use: () => unknown): void {
  expectEqual('the error after release()', codeOf(thrownBy(use)), 'ERR_DEVMEM_RELEASED');
}

const codeOf = (error: Error): unknown => (error as NodeJS.ErrnoException).code;
