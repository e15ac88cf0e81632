/** From memory that the CPU can see to memory that it can see. */
import { DmaBuf } from '../memory/dma-buf.js';
import { native } from '../native.js';
import { CpuAccesses } from './cpu-accesses.js';
import type { GatherEngine, Pieces, Target } from './engine.js';

// What takes so long that another thread is worth the way there and back, in bytes.
const OFF_THE_LOOP = 256 * 2 ** 10;

/** The copies of one reader, between whose goes others have their turn. */
export class HostEngine implements GatherEngine {
  #accesses: CpuAccesses | undefined;

  copy(source: DmaBuf, pieces: Pieces, target: Target, at: number): Promise<void> | undefined {
    const accesses = this.#begin(target);
    accesses.begin(source, 'read');
    if (target instanceof DmaBuf && pieces.bytes >= OFF_THE_LOOP) {
      return copyElsewhere(source, pieces, target, at, accesses);
    }
    copyHere(source, pieces, target, at);
    return undefined;
  }

  copyBytes(bytes: Uint8Array, target: Target, at: number): undefined {
    this.#begin(target);
    if (!(target instanceof DmaBuf)) target.set(bytes, at);
    else if (!target.mapping().write(at, bytes)) throw notInside(at, bytes.length);
  }

  /**
   * Ends the go: what was copied can be seen by devices once no copy is under way.
   *
   * @throws SystemError where an exporter refuses
   */
  endGo(): void {
    const accesses = this.#accesses;
    this.#accesses = undefined;
    accesses?.end();
  }

  #begin(target: Target): CpuAccesses {
    const accesses = (this.#accesses ??= new CpuAccesses());
    if (target instanceof DmaBuf) accesses.begin(target, 'write');
    return accesses;
  }
}

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
  accesses: CpuAccesses,
): Promise<void> {
  accesses.keep();
  try {
    const mapping = source.mapping();
    const to = target.mapping();
    const done = native().gatherHostAsync(offsets, sizes, first, count, mapping, to, at);
    if (!(await done)) throw notInside(at, bytes);
  } finally {
    accesses.end();
  }
}

function notInside(at: number, bytes: number): RangeError {
  return new RangeError(
    `The target has no room for ${bytes} bytes at ${at}, or a fragment is not in its memory: was either detached, shrunk or written to meanwhile?`,
  );
}
