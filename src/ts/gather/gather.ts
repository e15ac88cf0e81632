/** Copying what batches hold to one place, by the engine for where that lies. */
import type { Batch } from '../receive/batch.js';
import { LINEAR_SOURCE } from '../receive/ring.js';
import type { Done, Target } from './engine.js';
import type { Engines } from './engines.js';

/**
 * Copies batches' bytes, one behind the other, to `at` in the target.
 *
 * @param batches - in stream order, of which nothing was released
 * @param engines - for the batches' memories and the target
 * @returns undefined where it is done, or a promise of that: batches and target are in use
 *   until then
 */
export function gather(
  batches: readonly Batch[],
  target: Target,
  at: number,
  engines: Engines,
): Done {
  const gathering = new Gathering(target, at, engines);
  for (const batch of batches) gathering.add(batch);
  return gathering.end();
}

/**
 * One such copy. Fragments of one memory whose descriptors are neighbours are one stretch,
 * also where they came in several batches: an engine is called once for each stretch.
 */
class Gathering {
  readonly #target: Target;
  readonly #engines: Engines;
  /** Where the stretch's bytes go. */
  #to: number;
  readonly #pending: Promise<void>[] = [];
  #failed = false;
  // The stretch: it begins in this batch.
  #batch: Batch | undefined;
  #source = LINEAR_SOURCE;
  #first = 0;
  #count = 0;
  #bytes = 0;

  constructor(target: Target, at: number, engines: Engines) {
    this.#target = target;
    this.#to = at;
    this.#engines = engines;
  }

  add(batch: Batch): void {
    const { base, length, onlySource } = batch;
    const end = base + length;
    for (let first = base; first < end;) {
      const source = onlySource ?? batch.columns.sources[first]!;
      const next = onlySource === undefined ? endOfStretch(batch, first) : end;
      if (!this.#follows(batch, first, source)) this.#begin(batch, first, source);
      this.#count += next - first;
      this.#bytes +=
        next - first === length ? batch.total : batch.bytesFrom(first - base, next - base);
      first = next;
    }
  }

  end(): Done {
    this.#copy();
    return this.#pending.length === 0 ? undefined : allOf(this.#pending);
  }

  // Whether the fragment goes on where the stretch ends.
  #follows(batch: Batch, first: number, source: number): boolean {
    const begun = this.#batch;
    return (
      begun !== undefined &&
      source !== LINEAR_SOURCE &&
      this.#source === source &&
      this.#first + this.#count === first &&
      begun.columns === batch.columns &&
      begun.lease.lessor === batch.lease.lessor
    );
  }

  #begin(batch: Batch, first: number, source: number): void {
    this.#copy();
    this.#batch = batch;
    this.#source = source;
    this.#first = first;
    this.#count = 0;
    this.#bytes = 0;
  }

  // Nothing more, once one has failed.
  #copy(): void {
    if (this.#batch === undefined || this.#failed) return;
    try {
      const done = this.#copyStretch(this.#batch);
      if (done !== undefined) this.#pending.push(done);
    } catch (error) {
      const reason = error as Error;
      this.#pending.push(Promise.reject(reason));
      this.#failed = true;
    }
    this.#to += this.#bytes;
  }

  #copyStretch(batch: Batch): Done {
    const index = this.#first - batch.base;
    const memory = batch.memory(index);
    const engine = this.#engines.for(memory, this.#target);
    if (memory === undefined) {
      return engine.copyBytes(batch.bytes(index)!, this.#target, this.#to);
    }
    const { offsets, sizes } = batch.columns;
    const pieces = {
      offsets,
      sizes,
      first: this.#first,
      count: this.#count,
      bytes: this.#bytes,
    };
    return engine.copy(memory, pieces, this.#target, this.#to);
  }
}

// Linear fragments are copied one by one.
function endOfStretch({ base, length, columns: { sources } }: Batch, first: number): number {
  const source = sources[first]!;
  const end = base + length;
  let next = first + 1;
  while (source !== LINEAR_SOURCE && next < end && sources[next] === source) next++;
  return next;
}

/** Waits for all, also where one fails: until then the memory is in use. */
export async function allOf(pending: readonly Promise<void>[]): Promise<void> {
  for (const each of await Promise.allSettled(pending)) {
    if (each.status === 'rejected') throw each.reason;
  }
}
