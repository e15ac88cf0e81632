/** Allocating memory: the options, and which provider serves them. */
import { constants, freemem } from 'node:os';

import {
  checkInteger,
  checkObject,
  checkOneOf,
  invalidArgType,
  invalidArgValue,
  outOfRange,
  systemError,
} from '../errors.js';
import type { Backing } from './backing.js';
import { allocateCuda } from './cuda.js';
import { allocateDmaHeap } from './dma-heap.js';
import { allocateHost } from './host.js';
import { checkHugePages, type HugePageSize } from './huge-pages.js';
import { allocateUdmabuf } from './udmabuf.js';

/**
 * - `udmabuf`: a dma-buf of ordinary host memory (a sealed memfd), for the devmem
 *   path and for copying. Needs /dev/udmabuf (CONFIG_UDMABUF).
 * - `dma-heap`: a dma-buf of host memory in large pieces, allocated by the kernel.
 *   Needs /dev/dma_heap (CONFIG_DMABUF_HEAPS and its heaps).
 * - `cuda`: memory of an NVIDIA GPU. Needs its driver with the open kernel modules.
 * - `host`: a memfd, for the copy transport only. Works everywhere.
 * - `auto`: `udmabuf` where it can be had, else `host`.
 */
export type MemoryType = 'auto' | 'udmabuf' | 'dma-heap' | 'cuda' | 'host';

/** Options of `DmaBuf.allocate()`. */
export interface AllocateOptions {
  /** Default `'auto'`. */
  type?: MemoryType;
  /**
   * Bytes; a multiple of 4096 (of the huge page's size with `hugePages`), at least
   * 64 KiB. `cuda` rounds up to 2 MiB.
   */
  size: number;
  /**
   * `udmabuf`, `host`, `auto`: pages of this size, e.g. `'2M'`, which the
   * administrator has reserved. Default: ordinary pages.
   */
  hugePages?: HugePageSize;
  /** `dma-heap`: its name, as in /dev/dma_heap. Default `'system'`. */
  heap?: string;
  /** `cuda`: the GPU, as CUDA numbers them from 0 (see CUDA_VISIBLE_DEVICES). Default 0. */
  device?: number;
}

interface Checked {
  type: MemoryType;
  size: number;
  /** Bytes. */
  hugePages: number | undefined;
  heap: string;
  device: number;
}

const TYPES = ['auto', 'udmabuf', 'dma-heap', 'cuda', 'host'] as const;
const PAGE = 4096;
const MIN_SIZE = 64 * 1024;
const MAX_SIZE = 2 ** 46;

export async function allocate(options: AllocateOptions): Promise<Backing> {
  const { type, size, hugePages, heap, device } = await check(options);
  switch (type) {
    case 'host':
      return allocateHost(size, hugePages);
    case 'udmabuf':
      if (hugePages === undefined) checkAvailable(size);
      return allocateUdmabuf(size, hugePages);
    case 'dma-heap':
      checkAvailable(size);
      return allocateDmaHeap(size, heap);
    case 'cuda':
      return allocateCuda(size, device);
    case 'auto':
      return allocate({ ...options, type: 'udmabuf' }).catch(() => allocateHost(size, hugePages));
  }
}

/**
 * Dma-bufs take memory that the kernel cannot move out of the way: asked for more
 * than there is, it ends processes, this one among the first.
 */
function checkAvailable(size: number): void {
  const available = freemem();
  if (size <= available) return;
  throw systemError(-constants.errno.ENOMEM, 'allocate', {
    subject: `${size} bytes are more than the ${available} that are available (MemAvailable in /proc/meminfo)`,
    hint: 'Ask for less, or free memory: to get this much the kernel would kill processes',
  });
}

async function check(options: AllocateOptions): Promise<Checked> {
  checkObject('options', options);
  const type = checkOneOf('options.type', options.type ?? 'auto', TYPES);
  const size = checkInteger('options.size', options.size, MIN_SIZE, MAX_SIZE);
  checkMultiple(size, PAGE);
  checkBelongs(options, 'heap', type, ['dma-heap']);
  checkBelongs(options, 'device', type, ['cuda']);
  checkBelongs(options, 'hugePages', type, ['udmabuf', 'host', 'auto']);
  const heap = options.heap ?? 'system';
  checkHeap(heap);
  const device = checkInteger('options.device', options.device ?? 0, 0, 2 ** 31 - 1);
  let hugePages: number | undefined;
  if (options.hugePages !== undefined) {
    hugePages = await checkHugePages('options.hugePages', options.hugePages);
    checkMultiple(size, hugePages);
  }
  return { type, size, hugePages, heap, device };
}

function checkMultiple(size: number, unit: number): void {
  if (size % unit !== 0) throw outOfRange('options.size', `a multiple of ${unit}`, size);
}

/** An option of another type of memory is a mistake that would go unseen. */
function checkBelongs(
  options: AllocateOptions,
  name: 'heap' | 'device' | 'hugePages',
  type: MemoryType,
  types: readonly MemoryType[],
): void {
  if (options[name] === undefined || types.includes(type)) return;
  const list = types.map((each) => `'${each}'`).join(', ');
  throw invalidArgValue(
    `options.${name}`,
    `left out of type '${type}' (it is for ${list})`,
    options[name],
  );
}

function checkHeap(name: unknown): void {
  if (typeof name !== 'string') throw invalidArgType('options.heap', 'a string', name);
  if (name === '.' || name === '..' || !/^[^/\0]{1,255}$/.test(name)) {
    throw invalidArgValue('options.heap', 'the name of a file in /dev/dma_heap', name);
  }
}
