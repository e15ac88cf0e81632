/** From memory that the CPU can see to memory that it can see. */
import { DmaBuf } from '../memory/dma-buf.js';
import { native } from '../native.js';
import type { GatherEngine, Pieces, Target } from './engine.js';

// What takes so long that another thread is worth the way there and back, in bytes.
const OFF_THE_LOOP = 256 * 2 ** 10;

export const host: GatherEngine = {
  copy(source, pieces, target, at) {
    if (target instanceof DmaBuf && pieces.bytes >= OFF_THE_LOOP) {
      return copyElsewhere(source, pieces, target, at);
    }
    const finish = beginAccess(source, target);
    try {
      copyHere(source, pieces, target, at);
    } finally {
      finish();
    }
    return undefined;
  },

  copyBytes(bytes, target, at) {
    if (target instanceof DmaBuf) target.write(at, bytes);
    else target.set(bytes, at);
    return undefined;
  },
};

function copyHere(source: DmaBuf, pieces: Pieces, target: Target, at: number): void {
  const { offsets, sizes, first, count } = pieces;
  const to = target instanceof DmaBuf ? target.mapping() : target;
  const inside = native().gatherHost(offsets, sizes, first, count, source.mapping(), to, at);
  if (!inside) throw notInside(at, pieces.bytes);
}

// Into a mapping, which no script can take away meanwhile, as it can an array's memory.
async function copyElsewhere(
  source: DmaBuf,
  { offsets, sizes, first, count, bytes }: Pieces,
  target: DmaBuf,
  at: number,
): Promise<void> {
  const finish = beginAccess(source, target);
  try {
    const mapping = source.mapping();
    const to = target.mapping();
    const done = native().gatherHostAsync(offsets, sizes, first, count, mapping, to, at);
    if (!(await done)) throw notInside(at, bytes);
  } finally {
    finish();
  }
}

function beginAccess(source: DmaBuf, target: Target): () => void {
  const endReading = source.beginCpuAccess('read');
  if (!(target instanceof DmaBuf)) return endReading;
  try {
    const endWriting = target.beginCpuAccess('write');
    return () => {
      endWriting();
      endReading();
    };
  } catch (error) {
    endReading();
    throw error;
  }
}

function notInside(at: number, bytes: number): RangeError {
  return new RangeError(
    `The target has no room for ${bytes} bytes at ${at}, or a fragment is not in its memory: was either detached, shrunk or written to meanwhile?`,
  );
}
