/** Every way to look at the bytes of a fragment or batch. */
import type { Batch, DmaBuf, Fragment } from 'devmem-tcp';

/** Called with piece after piece, in stream order. */
export type Look = (piece: Uint8Array) => void;

export function lookAtFragment(fragment: Fragment, look: Look): void {
  look(bytesOf(fragment));
}

function bytesOf(fragment: Fragment): Uint8Array {
  if (fragment.kind === 'linear') return fragment.bytes;
  return stretch(fragment.memory, fragment.offset, fragment.size);
}

function stretch(memory: DmaBuf, offset: number, size: number): Uint8Array {
  return memory.map().subarray(offset, offset + size);
}

/** @param memory - of the batch's device fragments */
type LookAtBatch = (batch: Batch, memory: DmaBuf, look: Look) => void;

function byForEach(batch: Batch, memory: DmaBuf, look: Look): void {
  batch.forEach((offset, size) => look(stretch(memory, offset, size)), look);
}

function byFragments(batch: Batch, _memory: DmaBuf, look: Look): void {
  for (const fragment of batch) lookAtFragment(fragment, look);
}

function byAccessors(batch: Batch, _memory: DmaBuf, look: Look): void {
  for (let index = 0; index < batch.length; index++) {
    const memory = batch.memory(index);
    if (memory === undefined) look(batch.bytes(index)!);
    else look(stretch(memory, batch.offset(index), batch.size(index)));
  }
}

function byRuns(batch: Batch, memory: DmaBuf, look: Look): void {
  for (const { offset, size, bytes } of batch.runs()) {
    look(bytes ?? stretch(memory, offset, size));
  }
}

/** Of a batch that is whole. */
export const WAYS: readonly LookAtBatch[] = [byForEach, byFragments, byAccessors, byRuns];

/** Of a batch of which fragments were released. */
export const WAYS_OF_THE_REST: readonly LookAtBatch[] = [byForEach, byFragments];
