/**
 * The CUDA engine: copies from and to a GPU's memory, made on the GPU, with one kernel
 * launch for up to 1024 fragments, or through staging where one end is the CPU's alone.
 * One serves all of a thread that use the device.
 */
import { DevmemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { CudaDeviceEngine } from './cuda-device.js';
import type { SharedEngine, Ranges } from './engine.js';

interface Shared {
  engine: Promise<CudaDeviceEngine>;
  users: number;
}

// This thread's, by device.
const shared = new Map<number, Shared>();

/**
 * The engine of a device, made on first use and shared by all who open it.
 *
 * @throws CudaError where CUDA refuses
 */
export async function openCudaEngine(device: number): Promise<SharedEngine> {
  const entry = shared.get(device) ?? { engine: CudaDeviceEngine.open(device), users: 0 };
  shared.set(device, entry);
  entry.users++;
  try {
    return new Opened(await entry.engine, () => leave(device, entry));
  } catch (error) {
    // Those who wait for the same one meet the same error; the next one tries anew.
    if (shared.get(device) === entry) shared.delete(device);
    throw error;
  }
}

async function leave(device: number, entry: Shared): Promise<void> {
  if (--entry.users > 0) return;
  shared.delete(device);
  await (await entry.engine).close();
}

/** One user's. */
class Opened implements SharedEngine {
  readonly #engine: CudaDeviceEngine;
  readonly #leave: () => Promise<void>;
  #closed: Promise<void> | undefined;

  constructor(engine: CudaDeviceEngine, leave: () => Promise<void>) {
    this.#engine = engine;
    this.#leave = leave;
  }

  // What is wrong with the arguments rejects, too.
  async copy(
    source: DmaBuf,
    ranges: Ranges,
    target: DmaBuf | Uint8Array,
    targetOffset: number,
  ): Promise<void> {
    this.#check();
    await this.#engine.copy(source, ranges, target, targetOffset);
  }

  async copyBytes(bytes: Uint8Array, target: DmaBuf, targetOffset: number): Promise<void> {
    this.#check();
    await this.#engine.copyBytes(bytes, target, targetOffset);
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#leave());
  }

  #check(): void {
    if (this.#closed === undefined) return;
    throw new DevmemError('ERR_DEVMEM_CLOSED', 'The engine was closed: open one anew');
  }
}
