/** Which engine copies from where to where. */
import { DmaBuf } from '../memory/dma-buf.js';
import { openCudaEngine } from './cuda.js';
import type { GatherEngine, SharedEngine, Target } from './engine.js';
import { HostEngine } from './host.js';

/** A GPU's engine, kept open as long as one of its memories: opening it takes milliseconds. */
interface Kept {
  /** Never rejects. */
  readonly opening: Promise<void>;
  engine: SharedEngine | undefined;
  error: Error | undefined;
}

const kept = new WeakMap<DmaBuf, Kept>();

/** The engines for copies from some memories to a target. */
export class Engines {
  /** Until when they are opened, which never rejects; undefined where all are open. */
  readonly opening: Promise<unknown> | undefined;
  // Those that were asked for here: others may have one of them opened anew.
  readonly #kept = new Map<DmaBuf, Kept>();
  readonly #host = new HostEngine();

  /** Opens what is needed. */
  constructor(sources: readonly DmaBuf[], target: Target) {
    for (const memory of [...sources, target]) {
      if (isOnGpu(memory)) this.#kept.set(memory, kept.get(memory) ?? keep(memory));
    }
    const pending = [...this.#kept.values()].filter(({ engine }) => engine === undefined);
    if (pending.length > 0) this.opening = Promise.all(pending.map(({ opening }) => opening));
  }

  /**
   * To be called once they were opened, before there is anything to copy.
   *
   * @throws CudaError ERR_DEVMEM_CUDA where CUDA refused
   */
  check(): void {
    for (const { error } of this.#kept.values()) {
      if (error !== undefined) throw error;
    }
  }

  /** @param source - undefined for bytes of JavaScript's own */
  for(source: DmaBuf | undefined, target: Target): GatherEngine {
    const gpu = isOnGpu(source) ? source : target;
    if (!isOnGpu(gpu)) return this.#host;
    // Memory that was bound meanwhile is known here for the first time.
    const entry = this.#kept.get(gpu) ?? kept.get(gpu) ?? keep(gpu);
    return {
      copy: async (from, pieces, to, offset) => {
        await (await opened(entry)).copy(from, pieces, to, offset);
      },
      copyBytes: async (bytes, to, offset) => {
        await (await opened(entry)).copyBytes(bytes, to as DmaBuf, offset);
      },
    };
  }

  /**
   * To be called after copies of bytes that had all been there before the first of them:
   * what the CPU copied is then everybody's, once no copy is under way.
   *
   * @throws SystemError where an exporter refuses (`DMA_BUF_IOCTL_SYNC`)
   */
  endGo(): void {
    this.#host.endGo();
  }
}

async function opened(entry: Kept): Promise<SharedEngine> {
  if (entry.engine === undefined) await entry.opening;
  if (entry.engine === undefined) throw entry.error!;
  return entry.engine;
}

function keep(memory: DmaBuf): Kept {
  const entry: Kept = { opening: open(memory), engine: undefined, error: undefined };
  kept.set(memory, entry);
  return entry;

  async function open({ onDevice }: DmaBuf): Promise<void> {
    try {
      const engine = await openCudaEngine(onDevice!.device);
      entry.engine = engine;
      memory.whenClosed(() => void engine.close());
    } catch (error) {
      entry.error = error as Error;
      // The next call may fare better.
      kept.delete(memory);
    }
  }
}

function isOnGpu(memory: DmaBuf | Target | undefined): memory is DmaBuf {
  return memory instanceof DmaBuf && memory.onDevice !== undefined;
}
