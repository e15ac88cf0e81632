/** Memory to receive into. */
import { readFile } from 'node:fs/promises';

import {
  checkInteger,
  checkObject,
  checkOneOf,
  DevmemError,
  outOfRange,
  systemError,
} from '../errors.js';
import { type Mapping, native, type OwnedFd } from '../native.js';

/**
 * - `udmabuf`: a dma-buf of ordinary host memory (a sealed memfd), for the devmem
 *   path and for copying. Needs /dev/udmabuf (CONFIG_UDMABUF).
 * - `host`: a memfd, for the copy transport only. Works everywhere.
 * - `auto`: `udmabuf` where it can be had, else `host`.
 */
export type MemoryType = 'auto' | 'udmabuf' | 'host';

export interface AllocateOptions {
  /** Default `'auto'`. */
  type?: MemoryType;
  /** Bytes; a multiple of 4096, at least 64 KiB. */
  size: number;
}

const PAGE = 4096;
const MIN_SIZE = 64 * 1024;
const MAX_SIZE = 2 ** 46;

// linux/dma-buf.h
const DMA_BUF_SYNC_READ = 1 << 0;
const DMA_BUF_SYNC_END = 1 << 2;

interface Parts {
  type: 'udmabuf' | 'host';
  size: number;
  /** The memfd that holds the pages; what the CPU maps. */
  pages: OwnedFd;
  /** The dma-buf over them. */
  dmaBuf: OwnedFd | undefined;
}

/** @internal What receives into the memory. */
interface MemoryUser {
  readonly usesMemory: boolean;
}

/** Memory that a NIC (or the copy transport) writes payload to. */
export class DmaBuf implements AsyncDisposable {
  readonly type: 'udmabuf' | 'host';
  /** Bytes. */
  readonly size: number;
  readonly #pages: OwnedFd;
  readonly #dmaBuf: OwnedFd | undefined;
  #mapping: Mapping | undefined;
  #view: Uint8Array | undefined;
  #closed = false;
  /** @internal The last binding of this memory. */
  user: MemoryUser | undefined;

  private constructor(parts: Parts) {
    this.type = parts.type;
    this.size = parts.size;
    this.#pages = parts.pages;
    this.#dmaBuf = parts.dmaBuf;
  }

  /**
   * Allocates memory.
   *
   * @throws RangeError ERR_OUT_OF_RANGE for a size that is no multiple of 4096 or too small
   * @throws SystemError ENOENT where there is no /dev/udmabuf, EACCES without
   *   permission for it, EINVAL beyond its size limit, ENOMEM
   */
  static async allocate(options: AllocateOptions): Promise<DmaBuf> {
    checkObject('options', options);
    const type = checkOneOf('options.type', options.type ?? 'auto', ['auto', 'udmabuf', 'host']);
    const size = checkInteger('options.size', options.size, MIN_SIZE, MAX_SIZE);
    if (size % PAGE !== 0) throw outOfRange('options.size', `a multiple of ${PAGE}`, size);
    if (type === 'host') return new DmaBuf(allocateHost(size));
    try {
      return new DmaBuf(await allocateUdmabuf(size));
    } catch (error) {
      if (type === 'udmabuf') throw error;
      return new DmaBuf(allocateHost(size));
    }
  }

  /** The dma-buf's file descriptor (the memfd's for `host` memory). Owned by this object. */
  get fd(): number {
    this.#check();
    return (this.#dmaBuf ?? this.#pages).fd;
  }

  /** Whether a NIC can receive into it. */
  get isDmaBuf(): boolean {
    return this.#dmaBuf !== undefined;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The memory as the CPU sees it, the same array at each call. It stays mapped
   * while the array is reachable, also after close().
   *
   * Read what a NIC wrote inside `cpuAccess()`.
   */
  map(): Uint8Array {
    if (this.#view === undefined) {
      const buffer = this.mapping().buffer();
      if (buffer === undefined) throw this.#closedError();
      this.#view = new Uint8Array(buffer);
    }
    return this.#view;
  }

  /** Runs `callback` between DMA_BUF_IOCTL_SYNC's start and end for reading by the CPU. */
  cpuAccess<T>(callback: () => T): T {
    this.#check();
    this.#sync(DMA_BUF_SYNC_READ);
    try {
      return callback();
    } finally {
      this.#sync(DMA_BUF_SYNC_READ | DMA_BUF_SYNC_END);
    }
  }

  /**
   * Copies bytes out of the memory.
   *
   * @param offset - bytes from the start, 0 to `size`
   * @param size - bytes; `offset + size` must not pass the end
   */
  read(offset: number, size: number): Buffer {
    checkInteger('offset', offset, 0, this.size);
    checkInteger('size', size, 0, this.size - offset);
    const target = Buffer.allocUnsafe(size);
    this.cpuAccess(() => this.mapping().read(offset, target));
    return target;
  }

  /** @internal */
  mapping(): Mapping {
    this.#check();
    if (this.#mapping === undefined) {
      const mapping = native().mapFd(this.#pages, this.size);
      if (typeof mapping === 'number') throw systemError(mapping, 'mmap');
      this.#mapping = mapping;
    }
    return this.#mapping;
  }

  /**
   * Closes the descriptors. Memory that a binding, a fragment or an array of
   * `map()` still needs lives on until that is gone. A second call does nothing.
   */
  close(): Promise<void> {
    this.#closed = true;
    this.#view = undefined;
    this.#mapping?.close();
    this.#dmaBuf?.close();
    this.#pages.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #sync(flags: number): void {
    if (this.#dmaBuf === undefined) return;
    const status = native().dmaBufSync(this.#dmaBuf, flags);
    if (status < 0) throw systemError(status, 'ioctl(DMA_BUF_IOCTL_SYNC)');
  }

  #check(): void {
    if (this.#closed) throw this.#closedError();
  }

  #closedError(): DevmemError {
    return new DevmemError('ERR_DEVMEM_CLOSED', 'The memory was closed: allocate anew');
  }
}

function allocateHost(size: number): Parts {
  return { type: 'host', size, pages: createMemfd(size), dmaBuf: undefined };
}

function createMemfd(size: number): OwnedFd {
  const memfd = native().memfdCreate('devmem-tcp', size);
  if (typeof memfd === 'number') {
    throw systemError(memfd, 'memfd_create', { subject: `${size} bytes` });
  }
  return memfd;
}

async function allocateUdmabuf(size: number): Promise<Parts> {
  const addon = native();
  const device = addon.open('/dev/udmabuf');
  if (typeof device === 'number') {
    throw systemError(device, 'open', { subject: '/dev/udmabuf', hint: udmabufHint(device) });
  }
  const pages = createMemfd(size);
  const dmaBuf = addon.udmabufCreate(device, pages, size);
  device.close();
  if (typeof dmaBuf === 'number') {
    pages.close();
    throw systemError(dmaBuf, 'ioctl(UDMABUF_CREATE)', {
      subject: `${size} bytes`,
      hint: await sizeLimitHint(size),
    });
  }
  return { type: 'udmabuf', size, pages, dmaBuf };
}

const ENOENT = -2;
const EACCES = -13;

function udmabufHint(errno: number): string | undefined {
  if (errno === ENOENT) {
    return "Load the module with 'modprobe udmabuf', or use a kernel with CONFIG_UDMABUF; { type: 'host' } works for the copy transport";
  }
  if (errno === EACCES) {
    return "Give this user access, for example by 'setfacl -m u:USER:rw /dev/udmabuf', or run as root";
  }
  return undefined;
}

async function sizeLimitHint(size: number): Promise<string | undefined> {
  const path = '/sys/module/udmabuf/parameters/size_limit_mb';
  const limit = Number(await readFile(path, 'utf8').catch(() => 'NaN'));
  if (!(size > limit * 2 ** 20)) return undefined;
  const needed = Math.ceil(size / 2 ** 20);
  return `The module's limit is ${limit} MiB: raise it with 'echo ${needed} > ${path}' (or udmabuf.size_limit_mb=${needed} on the kernel's command line)`;
}
