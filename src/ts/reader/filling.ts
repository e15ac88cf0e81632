import type { Engines } from '../gather/engines.js';
import { allOf, gather } from '../gather/gather.js';
import { DmaBuf } from '../memory/dma-buf.js';
import type { Batch } from '../receive/batch.js';
import type { FragmentStream } from '../receive/stream.js';
import { checkPlace, closedTarget, type Place } from './target.js';

// What is copied in one go, in bytes, and so much of the memory: it is given back together,
// and meanwhile more is to come.
const MOST_AT_ONCE = 4 * 2 ** 20;
const SHARE_AT_ONCE = 1 / 4;

/**
 * One readInto(): takes what comes, up to so many bytes, and has it copied; or, while
 * nothing is ready, has it received there.
 */
export class Filling {
  readonly #stream: FragmentStream;
  readonly #place: Place;
  readonly #engines: Engines;
  readonly #took: (bytes: number) => void;
  #placed = 0;
  readonly #copies = new Set<Promise<void>>();
  #error: Error | undefined;
  readonly #stopWatching: (() => void) | undefined;
  // While bytes are received where they are to be: what ends the CPU's access there.
  #endAccess: (() => void) | undefined;

  /** @param took - told of how many bytes are taken */
  constructor(
    stream: FragmentStream,
    place: Place,
    engines: Engines,
    took: (bytes: number) => void,
  ) {
    this.#stream = stream;
    this.#place = place;
    this.#engines = engines;
    this.#took = took;
    this.#stopWatching = this.#watchTarget(place);
  }

  /** Bytes that were taken and copied, or are being. */
  get placed(): number {
    return this.#placed;
  }

  /** Takes what is there; true once that is all. For Cursor.request(). */
  readonly take = (): true | undefined => {
    this.endLanding();
    try {
      this.#takeReady();
    } finally {
      this.#engines.endGo();
    }
    if (this.#left === 0) return true;
    this.#land();
    return undefined;
  };

  /** Nothing more is to be received there. To be called where it is given up. */
  endLanding(): void {
    const end = this.#endAccess;
    if (end === undefined) return;
    this.#endAccess = undefined;
    this.#count(this.#stream.endLanding());
    end();
  }

  /** Resolves once no copy is under way; rejects where one failed. */
  async settle(): Promise<void> {
    this.#stopWatching?.();
    await allOf([...this.#copies]);
    if (this.#error !== undefined) throw this.#error;
  }

  get #left(): number {
    return this.#place.length - this.#placed;
  }

  get #end(): number {
    return this.#place.offset + this.#placed;
  }

  #takeReady(): void {
    while (this.#left > 0) {
      this.#check();
      const batches = this.#nextBatches();
      if (batches.length === 0) return;
      this.#copy(batches);
    }
  }

  // What is there, as far as it is copied in one go. None is cut but at the place's end.
  #nextBatches(): Batch[] {
    const { cursor, bindings } = this.#stream;
    const limits = bindings.map(({ heldLimit }) => heldLimit * SHARE_AT_ONCE);
    const most = Math.min(MOST_AT_ONCE, ...limits);
    const batches: Batch[] = [];
    let bytes = 0;
    while (bytes < most && bytes < this.#left) {
      const batch = cursor.takeUpTo(this.#left - bytes);
      if (batch === undefined) break;
      batches.push(batch);
      bytes += batch.total;
    }
    return batches;
  }

  // Before anything is taken for it.
  #check(): void {
    if (this.#error !== undefined) throw this.#error;
    this.#engines.check();
    checkPlace(this.#place);
  }

  #count(bytes: number): void {
    this.#placed += bytes;
    this.#took(bytes);
  }

  #land(): void {
    const { target } = this.#place;
    if (!(target instanceof DmaBuf)) {
      if (this.#stream.land(target, this.#end, this.#left)) this.#endAccess = () => {};
    } else if (target.type !== 'cuda') {
      const mapping = target.mapping();
      const end = target.beginCpuAccess('write');
      if (this.#stream.land(mapping, this.#end, this.#left)) this.#endAccess = end;
      else end();
    }
  }

  // Nothing more comes to a target that is closed; what was taken for it is copied.
  #watchTarget({ target }: Place): (() => void) | undefined {
    if (!(target instanceof DmaBuf)) return undefined;
    return target.whenClosing(() => {
      try {
        this.endLanding();
        if (this.#left > 0) this.#fail(closedTarget());
      } catch (error) {
        // The target is closed all the same.
        this.#fail(error as Error);
      }
    });
  }

  #copy(batches: readonly Batch[]): void {
    const done = gather(batches, this.#place.target, this.#end, this.#engines);
    let bytes = 0;
    for (const batch of batches) bytes += batch.total;
    this.#count(bytes);
    if (done === undefined) releaseAll(batches);
    else this.#watch(batches, done);
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#stream.cursor.cancel(this.take, this.#error);
  }

  #watch(batches: readonly Batch[], done: Promise<void>): void {
    const copy = done
      .catch((error: unknown) => {
        this.#fail(error as Error);
      })
      .finally(() => {
        releaseAll(batches);
        this.#copies.delete(copy);
      });
    this.#copies.add(copy);
  }
}

function releaseAll(batches: readonly Batch[]): void {
  for (const batch of batches) batch.releaseSoon();
}
