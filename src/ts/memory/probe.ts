/** Which memory this machine offers, and its limits. */
import { native } from '../native.js';
import type { Backing } from './backing.js';
import { type CudaDevice, cudaDevices, noDmaBufHint, openCuda } from './cuda-driver.js';
import { allocateDmaHeap, listHeaps } from './dma-heap.js';
import { type HugePages, listHugePages } from './huge-pages.js';
import { allocateUdmabuf, udmabufLimits, type UdmabufLimits } from './udmabuf.js';

interface Probed {
  /** Whether it could be allocated here and now, by this process. */
  available: boolean;
  /** Why it is not available, with what to do about it. */
  reason?: string;
  /** The error behind `reason`. */
  error?: Error;
}

/** `udmabuf` memory; tried by allocating a page. */
export interface UdmabufProbe extends Probed, UdmabufLimits {
  /** For `DmaBuf.allocate({ type })`. */
  type: 'udmabuf';
  /** Empty where the kernel has none, or sysfs cannot be read. */
  hugePages: HugePages[];
}

/** A DMA heap; tried by allocating a page. */
export interface HeapProbe {
  /** As in /dev/dma_heap. */
  name: string;
  /** Whether this process could allocate from it here and now. */
  available: boolean;
  /** Why it could not, with what to do about it. */
  reason?: string;
}

/** `dma-heap` memory; available if any heap gave a page. */
export interface DmaHeapProbe extends Probed {
  /** For `DmaBuf.allocate({ type })`. */
  type: 'dma-heap';
  /** The heaps that there are. */
  heaps: HeapProbe[];
}

/** `cuda` memory; available if a device's memory can be a dma-buf. Makes no context. */
export interface CudaProbe extends Probed {
  /** For `DmaBuf.allocate({ type })`. */
  type: 'cuda';
  /** The CUDA version of the driver, e.g. `'13.0'`. */
  driverVersion?: string;
  /** The GPUs, as CUDA numbers them. */
  devices: CudaDevice[];
}

/** `host` memory, which is always there. */
export interface HostProbe extends Probed {
  /** For `DmaBuf.allocate({ type })`. */
  type: 'host';
  /** Empty where the kernel has none, or sysfs cannot be read. */
  hugePages: HugePages[];
}

/** What `probeMemory()` found of one type; `type` tells which. */
export type MemoryProbe = UdmabufProbe | DmaHeapProbe | CudaProbe | HostProbe;

const PAGE = 4096;

/**
 * Tries every type of memory that `DmaBuf.allocate()` knows.
 *
 * @throws DevmemError ERR_DEVMEM_UNSUPPORTED where this package does not work at all
 */
export async function probeMemory(): Promise<MemoryProbe[]> {
  native();
  const hugePages = await listHugePages();
  const tried = await Promise.all([probeUdmabuf(hugePages), probeDmaHeap(), probeCuda()]);
  return [...tried, { type: 'host', available: true, hugePages }];
}

async function probeUdmabuf(hugePages: HugePages[]): Promise<UdmabufProbe> {
  const outcome = await attempt(() => allocateUdmabuf(PAGE, undefined));
  return { type: 'udmabuf', ...outcome, ...(await udmabufLimits()), hugePages };
}

async function probeDmaHeap(): Promise<DmaHeapProbe> {
  const names = await listHeaps();
  const heaps = await Promise.all(
    names.map(async (name) => {
      const { available, reason } = await attempt(() => allocateDmaHeap(PAGE, name));
      return { name, available, ...(reason !== undefined && { reason }) };
    }),
  );
  if (heaps.some((heap) => heap.available)) return { type: 'dma-heap', available: true, heaps };
  // The error of the usual heap says what is missing.
  return { type: 'dma-heap', ...(await attempt(() => allocateDmaHeap(PAGE, 'system'))), heaps };
}

async function probeCuda(): Promise<CudaProbe> {
  try {
    const cuda = await openCuda();
    const version = cuda.driverVersion();
    const driverVersion = `${Math.floor(version / 1000)}.${(version % 1000) / 10}`;
    const devices = cudaDevices(cuda);
    if (devices.some((device) => device.dmaBufSupported)) {
      return { type: 'cuda', available: true, driverVersion, devices };
    }
    const reason =
      devices.length === 0
        ? 'CUDA sees no device'
        : `No device's memory can be a dma-buf. ${await noDmaBufHint()}`;
    return { type: 'cuda', available: false, reason, driverVersion, devices };
  } catch (error) {
    return { type: 'cuda', ...failure(error), devices: [] };
  }
}

async function attempt(allocate: () => Promise<Backing>): Promise<Probed> {
  try {
    (await allocate()).close();
    return { available: true };
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): Probed {
  if (!(error instanceof Error)) throw error;
  return { available: false, reason: error.message, error };
}
