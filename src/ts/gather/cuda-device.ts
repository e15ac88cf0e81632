/** The engine of one GPU: what it can reach of both ends of a copy, and in which order. */
import { types } from 'node:util';
import { isMainThread } from 'node:worker_threads';

import { checkInteger, DevmemError } from '../errors.js';
import { CudaError, cudaError, openCuda } from '../memory/cuda-driver.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import {
  type Cuda,
  type CudaFailure,
  type CudaGather,
  type CudaMemory,
  native,
} from '../native.js';
import { GatherCopy, type Reachable, WriteCopy } from './cuda-copies.js';
import type { SharedEngine, Ranges } from './engine.js';
import { Launches } from './launches.js';
import { bytesOf } from './portions.js';
import { Registrations } from './registrations.js';

/** What failed where the addon refused, before CUDA was asked (cuda_engine.cc, cuda_values.h). */
const NOT_CUDAS = 'gather';

/** One GPU's, of one thread. */
export class CudaDeviceEngine implements SharedEngine {
  readonly device: number;
  readonly #gather: CudaGather;
  readonly #launches: Launches<CudaFailure>;
  readonly #registrations: Registrations;

  private constructor(cuda: Cuda, device: number) {
    this.device = device;
    this.#launches = new Launches((failure) => launchError(cuda, failure, device));
    this.#registrations = new Registrations(cuda, device);
    this.#gather = new (native().CudaGather)(cuda, device, isMainThread, (launch, failure) => {
      this.#launches.ended(launch, failure);
      this.#gather.retire(launch);
      this.#launches.resume();
    });
  }

  static async open(device: number): Promise<CudaDeviceEngine> {
    const cuda = await openCuda();
    const engine = new CudaDeviceEngine(cuda, device);
    const failure = (await engine.#gather.open()) ?? engine.#gather.start();
    if (failure === undefined) return engine;
    engine.#gather.close();
    throw cudaError(cuda, failure, `device ${device}`);
  }

  copy(source: DmaBuf, ranges: Ranges, target: DmaBuf | Uint8Array, offset: number): Promise<void> {
    const length = bytesOf(ranges);
    checkInteger('targetOffset', offset, 0, sizeOf(target) - length);
    const toHost = types.isUint8Array(target) || this.#memoryOf(target) === undefined;
    if (toHost && this.#memoryOf(source) === undefined) throw neitherOnDevice();
    if (length === 0) return Promise.resolve();
    showToReaders(source);
    const from = this.#reachable(source);
    const to = types.isUint8Array(target) ? undefined : this.#reachable(target);
    const copy = new GatherCopy(this.#gather, source, ranges, target, offset);
    const ready =
      from instanceof Promise || to instanceof Promise
        ? Promise.all([from, to]).then((places) => {
            copy.begin(...places);
          })
        : undefined;
    if (ready === undefined) copy.begin(from as Reachable, to as Reachable);
    return this.#launches.run(copy, ready);
  }

  copyBytes(bytes: Uint8Array, target: DmaBuf, offset: number): Promise<void> {
    checkInteger('targetOffset', offset, 0, sizeOf(target) - bytes.length);
    const memory = this.#memoryOf(target);
    if (memory === undefined) throw neitherOnDevice();
    return this.#launches.run(new WriteCopy(this.#gather, bytes, memory, offset), undefined);
  }

  async close(): Promise<void> {
    await this.#launches.idle();
    this.#registrations.close();
    this.#gather.close();
  }

  #memoryOf(memory: DmaBuf): CudaMemory | undefined {
    const place = memory.onDevice;
    if (place !== undefined && place.device !== this.device) {
      throw new DevmemError(
        'ERR_DEVMEM_WRONG_MEMORY',
        `The memory is on device ${place.device}, and what it is copied from or to on device ${this.device}: allocate both on one device`,
      );
    }
    return place?.memory;
  }

  #reachable(memory: DmaBuf): Reachable | undefined | Promise<Reachable | undefined> {
    return this.#memoryOf(memory) ?? this.#registrations.of(memory);
  }
}

function launchError(cuda: Cuda, failure: CudaFailure, device: number): CudaError {
  if (failure.call !== NOT_CUDAS) return cudaError(cuda, failure, `device ${device}`);
  return new CudaError(
    failure.call,
    'a fragment does not lie inside its memory, or memory was closed meanwhile',
    'Keep source and target open, and the ranges as they are, until the copy is done',
  );
}

function sizeOf(target: DmaBuf | Uint8Array): number {
  if (types.isUint8Array(target)) return target.length;
  if (target.closed) {
    throw new DevmemError('ERR_DEVMEM_CLOSED', 'The target was closed: allocate anew');
  }
  return target.size;
}

/** Makes what a NIC wrote visible: to the GPU that has the memory, or to the CPU. */
function showToReaders(source: DmaBuf): void {
  if (source.onDevice !== undefined) source.onDevice.flush();
  else source.beginCpuAccess('read')();
}

function neitherOnDevice(): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_WRONG_MEMORY',
    "Neither end of the copy is on a GPU: have the CPU copy, or allocate one with { type: 'cuda' }",
  );
}
