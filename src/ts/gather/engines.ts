/** Which engine copies from where to where. */
import { DmaBuf } from '../memory/dma-buf.js';
import { openCudaEngine } from './cuda.js';
import type { GatherEngine, SharedEngine, Target } from './engine.js';
import { host } from './host.js';

/** A GPU's engine, kept open as long as one of its memories: opening it takes milliseconds. */
interface Kept {
  readonly opening: Promise<void>;
  engine: SharedEngine | undefined;
  error: unknown;
}

const kept = new WeakMap<DmaBuf, Kept>();

/**
 * Opens what engineFor() needs for copies from any of the sources.
 *
 * @returns undefined where all is open; else a promise, which never rejects: engineFor()
 *   throws why it could not
 */
export function openEngines(
  sources: readonly DmaBuf[],
  target: Target,
): Promise<unknown> | undefined {
  const pending: Promise<void>[] = [];
  for (const memory of [...sources, target]) {
    if (!isOnGpu(memory)) continue;
    const { engine, opening } = kept.get(memory) ?? keep(memory);
    if (engine === undefined) pending.push(opening);
  }
  return pending.length === 0 ? undefined : Promise.all(pending);
}

/**
 * The engine for copies from a source to a target, after openEngines().
 *
 * @param source - undefined for bytes of JavaScript's own
 * @throws CudaError ERR_DEVMEM_CUDA where CUDA refused
 */
export function engineFor(source: DmaBuf | undefined, target: Target): GatherEngine {
  const gpu = [source, target].find(isOnGpu);
  if (gpu === undefined) return host;
  const { engine, error } = kept.get(gpu) ?? keep(gpu);
  if (engine === undefined) throw error;
  return {
    copy: (from, pieces, to, offset) => engine.copy(from, pieces, to, offset),
    copyBytes: (bytes, to, offset) => engine.copyBytes(bytes, to as DmaBuf, offset),
  };
}

function keep(memory: DmaBuf): Kept {
  const entry: Kept = { opening: open(memory), engine: undefined, error: undefined };
  kept.set(memory, entry);
  return entry;

  async function open({ onDevice }: DmaBuf): Promise<void> {
    try {
      const engine = await openCudaEngine(onDevice!.device);
      entry.engine = engine;
      if (memory.closed) await engine.close();
      else memory.whenClosed(() => void engine.close());
    } catch (error) {
      // The next call may fare better.
      entry.error = error;
      kept.delete(memory);
    }
  }
}

function isOnGpu(memory: DmaBuf | Target | undefined): memory is DmaBuf {
  return memory instanceof DmaBuf && memory.onDevice !== undefined;
}
