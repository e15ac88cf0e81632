import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import { portrait } from '../portrait.js';
import type { Batch } from '../receive/batch.js';
import type { Fragment } from '../receive/fragment.js';
import type { DeviceCallback, LinearCallback, Payload, Run } from '../receive/payload.js';
import { runsOf } from '../receive/runs.js';

/**
 * Exactly so many bytes of the stream, as they lie: a lease, as a batch is. Where it begins
 * or ends inside a fragment, its neighbour holds the rest of that one, which goes back when
 * both were released.
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
    let bytes = 0;
    for (const batch of this.batches) bytes += batch.linearLength;
    return bytes;
  }

  get released(): boolean {
    return this.#released || (this.batches.length > 0 && this.batches.every(isReleased));
  }

  forEach(onDevice: DeviceCallback, onLinear?: LinearCallback): void {
    if (onLinear === undefined && this.linearLength > 0) this.#refuseLinear();
    let base = 0;
    for (const batch of this.batches) {
      const start = base;
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
      base += batch.length;
    }
  }

  runs(): Run[] {
    return runsOf(this.batches);
  }

  *[Symbol.iterator](): IterableIterator<Fragment, undefined> {
    for (const batch of this.batches) yield* batch;
    return undefined;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const batch of this.batches) batch.releaseSoon();
  }

  [Symbol.dispose](): void {
    this.release();
  }

  [inspect.custom](): object {
    return portrait('Span', () => {
      const { byteLength, released } = this;
      if (released) return { byteLength, released };
      const { length, linearLength } = this;
      return { byteLength, length, linearLength, released };
    });
  }

  // Before any call, as a batch does.
  #refuseLinear(): void {
    this.batches.find((batch) => batch.linearLength > 0)!.forEach(() => {});
  }
}

function isReleased(batch: Batch): boolean {
  return batch.released;
}
