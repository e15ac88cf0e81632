/** Cutting a batch in two at any byte, where that is inside a fragment by sharing it. */
import type { DmaBuf } from '../memory/dma-buf.js';
import { Batch } from './batch.js';
import { Lease, type Lessor } from './lease.js';
import { singleColumns } from './ring.js';

/** A fragment of which several batches hold a part: it goes back with the last of them. */
class SharedFragment implements Lessor {
  readonly #whole: Batch;
  #parts = 0;

  /** @param whole - a batch of one fragment */
  constructor(whole: Batch) {
    this.#whole = whole;
  }

  /** Bytes of it from `start` up to `end`, as a batch of its own. */
  part(start: number, end: number): Batch {
    const whole = this.#whole;
    const bytes = whole.bytes(0)?.subarray(start, end);
    const offset = bytes === undefined ? whole.offset(0) + start : 0;
    const columns = singleColumns(offset, end - start, whole.dmabufId(0));
    this.#parts++;
    return new Batch(new Lease(this, 0, 1), columns, 0, bytes);
  }

  releaseRange(): void {
    this.#parts--;
    if (this.#parts === 0) this.#whole.release();
  }

  releaseOne(): void {
    this.releaseRange();
  }

  memoryOf(): DmaBuf | undefined {
    return this.#whole.memory(0);
  }
}

/**
 * Cuts a batch of which nothing was handed out.
 *
 * @param bytes - more than none, fewer than the batch has
 * @returns so many bytes, and the rest: batches that take the place of the one
 */
export function split(batch: Batch, bytes: number): [head: Batch[], rest: Batch[]] {
  const { index, into } = batch.find(bytes);
  const tail = index === 0 ? batch : batch.split(index);
  const head = tail === batch ? [] : [batch];
  if (into === 0) return [head, [tail]];
  const after = tail.length > 1 ? [tail.split(1)] : [];
  const size = tail.size(0);
  const shared = new SharedFragment(tail);
  return [
    [...head, shared.part(0, into)],
    [shared.part(into, size), ...after],
  ];
}
