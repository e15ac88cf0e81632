import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import { portrait } from '../portrait.js';
import { type Batch, linearUnhandled, usedAfterRelease } from '../receive/batch.js';
import type { Fragment } from '../receive/fragment.js';
import type { DeviceCallback, LinearCallback, Payload, Run } from '../receive/payload.js';
import { runsOf } from '../receive/runs.js';

/**
 * Exactly so many bytes of the stream, as they lie: a lease, as a batch is. Where it begins
 * or ends inside a fragment, its neighbour holds the rest of that one, which goes back when
 * both were released; on the copy transport each keeps the pages that it lies in, and no more.
 */
export class Span implements Payload {
  /** Bytes of the stream in it, also after its release. */
  readonly byteLength: number;
  /** @internal By which it is not cloned. */
  readonly batches: readonly Batch[];
  #released = false;

  protected constructor(maker: symbol, batches: readonly Batch[], bytes: number) {
    checkMaker(maker, 'Span', "the take() of a socket's reader()");
    this.batches = batches;
    this.byteLength = bytes;
  }

  /** @internal */
  static make(batches: readonly Batch[], bytes: number): Span {
    return new Span(MAKER, batches, bytes);
  }

  get length(): number {
    let fragments = 0;
    for (const batch of this.batches) fragments += batch.length;
    return fragments;
  }

  get linearLength(): number {
    this.#check();
    let bytes = 0;
    for (const batch of this.batches) bytes += batch.released ? 0 : batch.linearLength;
    return bytes;
  }

  get released(): boolean {
    if (this.#released) return true;
    for (const batch of this.batches) if (!batch.released) return false;
    return this.batches.length > 0;
  }

  forEach(onDevice: DeviceCallback, onLinear?: LinearCallback): void {
    this.#check();
    if (onLinear === undefined && this.batches.some(mayBeLinear)) this.#checkLinear();
    let base = 0;
    for (const batch of this.batches) {
      const start = base;
      base += batch.length;
      if (this.#released) throw usedAfterRelease('span');
      if (batch.released) continue;
      if (start === 0) batch.forEach(onDevice, onLinear);
      else {
        batch.forEach(
          (offset, size, dmabufId, index) => {
            onDevice(offset, size, dmabufId, start + index);
          },
          (bytes, index) => {
            onLinear!(bytes, start + index);
          },
        );
      }
    }
  }

  runs(): Run[] {
    return runsOf([this]);
  }

  /** Its fragments as objects, each a lease of its own. */
  [Symbol.iterator](): IterableIterator<Fragment, undefined> {
    this.#check();
    return this.#fragments();
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const batch of this.batches) batch.releaseSoon();
  }

  /** `release()`, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('Span', () => {
      const { byteLength, released } = this;
      if (released) return { byteLength, released };
      const { length, linearLength } = this;
      return { byteLength, length, linearLength, released };
    });
  }

  *#fragments(): IterableIterator<Fragment, undefined> {
    for (const batch of this.batches) if (!batch.released) yield* batch;
    return undefined;
  }

  // Before any call, as a batch does.
  #checkLinear(): void {
    const bytes = this.linearLength;
    if (bytes > 0) throw linearUnhandled('span', bytes);
  }

  #check(): void {
    if (this.released) throw usedAfterRelease('span');
  }
}

function mayBeLinear(batch: Batch): boolean {
  return batch.mayBeLinear;
}
