/** Copying what a batch holds to one place, by the engine for where that lies. */
import type { Batch } from '../receive/batch.js';
import { LINEAR_SOURCE } from '../receive/ring.js';
import type { Done, Target } from './engine.js';
import type { Engines } from './engines.js';

/** Neighbouring descriptors of one memory, or one linear fragment. */
interface Stretch {
  first: number;
  count: number;
  bytes: number;
}

/**
 * Copies a batch's bytes, one behind the other, to `at` in the target.
 *
 * @param batch - of which nothing was released
 * @param engines - for the batch's memories and the target
 * @returns undefined where it is done, or a promise of that: batch and target are in use
 *   until then
 */
export function gather(batch: Batch, target: Target, at: number, engines: Engines): Done {
  const { base, length } = batch;
  const pending: Promise<void>[] = [];
  let to = at;
  for (let first = base; first < base + length;) {
    const stretch = stretchFrom(batch, first);
    try {
      const done = copy(batch, stretch, target, to, engines);
      if (done !== undefined) pending.push(done);
    } catch (error) {
      const reason = error as Error;
      pending.push(Promise.reject(reason));
      break;
    }
    first += stretch.count;
    to += stretch.bytes;
  }
  return pending.length === 0 ? undefined : allOf(pending);
}

function stretchFrom(batch: Batch, first: number): Stretch {
  const { base, length } = batch;
  const { sources } = batch.columns;
  const source = sources[first]!;
  const end = base + length;
  let next = first + 1;
  while (source !== LINEAR_SOURCE && next < end && sources[next] === source) next++;
  const count = next - first;
  const bytes = count === length ? batch.total : batch.bytesFrom(first - base, next - base);
  return { first, count, bytes };
}

function copy(
  batch: Batch,
  { first, count, bytes }: Stretch,
  target: Target,
  at: number,
  engines: Engines,
): Done {
  const { columns, base } = batch;
  const memory = batch.memory(first - base);
  if (memory === undefined) {
    return engines.for(undefined, target).copyBytes(batch.bytes(first - base)!, target, at);
  }
  const { offsets, sizes } = columns;
  return engines
    .for(memory, target)
    .copy(memory, { offsets, sizes, first, count, bytes }, target, at);
}

/** Waits for all, also where one fails: until then the memory is in use. */
export async function allOf(pending: readonly Promise<void>[]): Promise<void> {
  for (const each of await Promise.allSettled(pending)) {
    if (each.status === 'rejected') throw each.reason;
  }
}
