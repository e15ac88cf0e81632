/** Copying bytes of a batch to an array at once, wherever they lie: for headers and the like. */
import type { DmaBuf } from '../memory/dma-buf.js';
import type { Batch } from '../receive/batch.js';
import { LINEAR_SOURCE } from '../receive/ring.js';
import type { Pieces } from './engine.js';
import type { HostEngine } from './host.js';

/**
 * Copies a batch's bytes from its byte `skip` on to `target[at]` and the following, as many
 * as there are and as fit. Of `cuda` memory by a copy over the bus for each fragment.
 *
 * @param host - of whose go it is a part
 * @returns how many
 */
export function copyOut(
  batch: Batch,
  skip: number,
  target: Uint8Array,
  at: number,
  host: HostEngine,
): number {
  let { index, into } = batch.find(skip);
  let to = at;
  while (index < batch.length && to < target.length) {
    const count = into === 0 ? wholeFragments(batch, index, target.length - to) : 0;
    if (count > 0) {
      to += copyFragments(batch, index, count, target, to, host);
      index += count;
    } else {
      to += copyPart(batch, index, into, target, to, host);
      index++;
      into = 0;
    }
  }
  return to - at;
}

// Fragments of one memory from `index` on that fit into `room` bytes.
function wholeFragments({ columns, base, length }: Batch, index: number, room: number): number {
  const { sizes, sources } = columns;
  const source = sources[base + index]!;
  if (source === LINEAR_SOURCE) return 0;
  let count = 0;
  let left = room;
  for (let at = base + index; at < base + length; at++, count++) {
    if (sources[at] !== source || sizes[at]! > left) break;
    left -= sizes[at]!;
  }
  return count;
}

function copyFragments(
  batch: Batch,
  index: number,
  count: number,
  target: Uint8Array,
  at: number,
  host: HostEngine,
): number {
  const { offsets, sizes } = batch.columns;
  const bytes = batch.bytesFrom(index, index + count);
  const pieces = { offsets, sizes, first: batch.base + index, count, bytes };
  copyPieces(batch.memory(index)!, pieces, target, at, host);
  return bytes;
}

function copyPart(
  batch: Batch,
  index: number,
  into: number,
  target: Uint8Array,
  at: number,
  host: HostEngine,
): number {
  const bytes = Math.min(batch.size(index) - into, target.length - at);
  const linear = batch.bytes(index);
  if (linear !== undefined) {
    target.set(linear.subarray(into, into + bytes), at);
    return bytes;
  }
  const offsets = Float64Array.of(batch.offset(index) + into);
  const sizes = Uint32Array.of(bytes);
  const pieces = { offsets, sizes, first: 0, count: 1, bytes };
  copyPieces(batch.memory(index)!, pieces, target, at, host);
  return bytes;
}

function copyPieces(
  memory: DmaBuf,
  pieces: Pieces,
  target: Uint8Array,
  at: number,
  host: HostEngine,
): void {
  const { onDevice } = memory;
  if (onDevice === undefined) {
    void host.copy(memory, pieces, target, at);
    return;
  }
  let to = at;
  for (let i = pieces.first; i < pieces.first + pieces.count; i++) {
    const end = to + pieces.sizes[i]!;
    onDevice.read(pieces.offsets[i]!, target.subarray(to, end));
    to = end;
  }
}
