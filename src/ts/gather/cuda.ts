/**
 * The CUDA engine: copies from and to a GPU's memory, made on the GPU, with one kernel
 * launch for up to 1024 fragments, or through staging where one end is the CPU's alone.
 */
import { types } from 'node:util';
import { isMainThread } from 'node:worker_threads';

import { checkInteger, DevmemError, invalidArgValue } from '../errors.js';
import { CudaError, cudaError, openCuda } from '../memory/cuda-driver.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import {
  type Cuda,
  type CudaFailure,
  type CudaGather,
  type CudaMemory,
  type CudaRegistration,
  type Launched,
  type Mapping,
  native,
} from '../native.js';
import type { SharedEngine, Ranges } from './engine.js';
import { type Copy, Launches } from './launches.js';
import { bytesOf, type Portion, Portions } from './portions.js';
import { Registrations } from './registrations.js';

/** What the GPU itself reads and writes. */
type Reachable = CudaMemory | CudaRegistration;

/** What failed where the addon refused, before CUDA was asked (cuda_engine.cc, cuda_values.h). */
const NOT_CUDAS = 'gather';

/** One GPU's, of one thread. */
class CudaDeviceEngine {
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

/** A copy of fragments. */
class GatherCopy implements Copy<CudaFailure> {
  readonly #gather: CudaGather;
  readonly #source: DmaBuf;
  readonly #ranges: Ranges;
  readonly #target: DmaBuf | Uint8Array;
  readonly #offset: number;
  #from!: Reachable | Mapping;
  #to: Reachable | undefined;
  #portions!: Portions;
  #portion: Portion | undefined;
  // Of launches that go to staging: where in the target their bytes belong.
  readonly #staged = new Map<number, number>();

  constructor(
    gather: CudaGather,
    source: DmaBuf,
    ranges: Ranges,
    target: DmaBuf | Uint8Array,
    offset: number,
  ) {
    this.#gather = gather;
    this.#source = source;
    this.#ranges = ranges;
    this.#target = target;
    this.#offset = offset;
  }

  /** What the GPU can reach of both ends; undefined: through staging. */
  begin(from: Reachable | undefined, to: Reachable | undefined): void {
    this.#from = from ?? this.#source.mapping();
    this.#to = to;
    const { fragments, stagingBytes } = native().CudaGather;
    const staged = from === undefined || to === undefined;
    const bytes = staged ? stagingBytes : Infinity;
    this.#portions = new Portions(this.#ranges, { fragments, bytes });
    this.#portion = this.#portions.next();
  }

  launch(): Launched | undefined {
    if (this.#portion === undefined) return undefined;
    const { first, count, skip, length, before } = this.#portion;
    const { offsets, sizes } = this.#ranges;
    const at = this.#offset + before;
    const launched = this.#gather.gather(
      this.#from,
      ...([offsets, sizes, first, count, skip, length, this.#to, at] as const),
    );
    if (launched === 0) return 0;
    if (this.#to === undefined && typeof launched === 'number') this.#staged.set(launched, at);
    this.#portion = this.#portions.next();
    return launched;
  }

  done(launch: number): void {
    const at = this.#staged.get(launch);
    if (at === undefined) return;
    this.#staged.delete(launch);
    const target = this.#target;
    if (types.isUint8Array(target)) this.#collect(launch, target, at);
    else target.cpuAccess(() => this.#collect(launch, target.mapping(), at), 'write');
  }

  #collect(launch: number, target: Uint8Array | Mapping, at: number): void {
    if (this.#gather.collect(launch, target, at)) return;
    const expected = 'left as it is, neither detached nor shortened, until the copy is done';
    throw invalidArgValue('target', expected, this.#target);
  }
}

/** A copy of bytes from outside. */
class WriteCopy implements Copy<CudaFailure> {
  readonly #gather: CudaGather;
  readonly #bytes: Uint8Array;
  readonly #length: number;
  readonly #target: CudaMemory;
  readonly #offset: number;
  #done = 0;

  constructor(gather: CudaGather, bytes: Uint8Array, target: CudaMemory, offset: number) {
    this.#gather = gather;
    this.#bytes = bytes;
    this.#length = bytes.length;
    this.#target = target;
    this.#offset = offset;
  }

  launch(): Launched | undefined {
    const from = this.#done;
    const length = Math.min(this.#length - from, native().CudaGather.stagingBytes);
    if (length === 0) return undefined;
    if (this.#bytes.length !== this.#length) {
      const expected = 'left as they are, neither detached nor shortened, until the copy is done';
      throw invalidArgValue('bytes', expected, this.#bytes);
    }
    const at = this.#offset + from;
    const launched = this.#gather.write(this.#bytes, from, length, this.#target, at);
    if (launched !== 0) this.#done += length;
    return launched;
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
  else source.cpuAccess(() => undefined);
}

function neitherOnDevice(): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_WRONG_MEMORY',
    "Neither end of the copy is on a GPU: have the CPU copy, or allocate one with { type: 'cuda' }",
  );
}

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
