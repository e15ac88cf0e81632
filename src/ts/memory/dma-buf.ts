/** Memory to receive into. */
import { constants as bufferConstants } from 'node:buffer';
import { constants as osConstants } from 'node:os';
import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import {
  checkInteger,
  checkOneOf,
  checkUint8Array,
  invalidArgType,
  outOfRange,
  systemError,
} from '../errors.js';
import { type Mapping, native } from '../native.js';
import { portrait } from '../portrait.js';
import { allocate, type AllocateOptions } from './allocate.js';
import type { Backing, BackingType, DeviceCopies, DeviceIpc } from './backing.js';
import { closedError, mapError, noIpc, notMappable, tooLargeToMap } from './dma-buf-errors.js';
import { importMemory, type ImportOptions } from './import.js';
import { type MemoryUser, type Ownership, ownershipOf } from './ownership.js';

const { MAX_LENGTH } = bufferConstants;
const { ENOMEM } = osConstants.errno;

/** What the CPU does to the memory inside `cpuAccess()`. */
export type CpuAccess = 'read' | 'write' | 'read-write';

// linux/dma-buf.h
const DMA_BUF_SYNC_END = 1 << 2;
const ACCESS: Readonly<Record<CpuAccess, number>> = {
  read: 1 << 0,
  write: 1 << 1,
  'read-write': (1 << 0) | (1 << 1),
};

/** Where part of a GPU's memory is for another process. Can be sent as JSON. */
export interface IpcHandle extends DeviceIpc {
  /** Bytes from the start of what `handle` opens. */
  offset: number;
  /** Bytes. */
  size: number;
}

/** Memory that a NIC (or the copy transport) writes payload to. */
export class DmaBuf implements AsyncDisposable {
  /** Where the bytes are. */
  readonly type: BackingType;
  /** Bytes. */
  readonly size: number;
  /**
   * `cuda`: the memory's address on the GPU; a fragment is at `devicePtr +
   * BigInt(fragment.offset)`. Undefined for other types.
   */
  readonly devicePtr: bigint | undefined;
  /**
   * What made the dma-buf, as the kernel names it, e.g. `'udmabuf'`, `'system'`
   * (a heap), `'nvidia'`. Undefined for a memfd, and where /proc does not tell.
   */
  readonly exporter: string | undefined;
  /** @internal Who receives into the memory, by this object or another one of it. */
  readonly ownership: Ownership;
  readonly #backing: Backing;
  #mapping: Mapping | undefined;
  #view: Uint8Array | undefined;
  readonly #beforeClosing = new Set<() => void>();
  readonly #closings = new Set<() => void>();
  #closed = false;
  // Closed, and nobody receives into it.
  #ended = false;

  private constructor(maker: symbol, backing: Backing) {
    checkMaker(maker, 'DmaBuf', 'DmaBuf.allocate() or DmaBuf.import()');
    this.type = backing.type;
    this.size = backing.size;
    this.devicePtr = backing.device?.devicePtr;
    this.exporter = backing.exporter;
    this.#backing = backing;
    this.ownership = ownershipOf(this.fd);
  }

  /**
   * Allocates memory.
   *
   * @throws TypeError, RangeError ERR_OUT_OF_RANGE, for unusable arguments
   * @throws SystemError ENOENT where there is no /dev/udmabuf or no such heap, EACCES
   *   without permission for it; EINVAL beyond udmabuf's limits
   *   (drivers/dma-buf/udmabuf.c size_limit_mb); ENOMEM, and ENOSPC for too few huge pages
   * @throws CudaError ERR_DEVMEM_CUDA where CUDA, a device, or its support for
   *   dma-bufs is missing, or CUDA refuses
   */
  static async allocate(options: AllocateOptions): Promise<DmaBuf> {
    return new DmaBuf(MAKER, await allocate(options));
  }

  /**
   * Takes a dma-buf, or a memfd, that was made elsewhere: by another library, by another
   * thread, or by a process that sent its descriptor.
   *
   * @throws TypeError ERR_INVALID_ARG_VALUE for a descriptor of anything else, and of a
   *   memfd that is not sealed against shrinking (F_SEAL_SHRINK), cannot be written to,
   *   or has no multiple of 4096 bytes
   * @throws RangeError ERR_OUT_OF_RANGE where it is not of `size`
   * @throws SystemError EBADF for a descriptor that is not open
   */
  static async import(options: ImportOptions): Promise<DmaBuf> {
    return new DmaBuf(MAKER, await importMemory(options));
  }

  /** @internal Who receives into the memory, or did last. */
  get user(): MemoryUser | undefined {
    return this.ownership.user;
  }

  /** The file descriptor of the dma-buf, or of the memfd. Owned by this object. */
  get fd(): number {
    this.#check();
    const { dmaBuf, mappable } = this.#backing;
    return (dmaBuf ?? mappable)!.fd;
  }

  /** Whether a NIC can receive into it. */
  get isDmaBuf(): boolean {
    return this.#backing.dmaBuf !== undefined;
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * The memory as the CPU sees it, the same array at each call. It stays mapped
   * while the array is reachable, also after close().
   *
   * Touch what a NIC writes inside `cpuAccess()`.
   *
   * Posted to another thread (`postMessage()`, `structuredClone()`), it is copied, byte by
   * byte, and cannot be transferred. For the memory itself, have the other thread map it
   * too: post `memory.fd`, and keep the memory open until it has called
   * `DmaBuf.import({ fd })`.
   *
   * @throws DevmemError ERR_DEVMEM_NOT_MAPPABLE for `cuda` memory, for imported
   *   dma-bufs whose exporter lets no CPU see them, and for memory larger than an
   *   ArrayBuffer can be (`buffer.constants.MAX_LENGTH`: 4 GiB in Node.js 20)
   */
  map(): Uint8Array {
    this.#check();
    return this.mapped();
  }

  /** @internal As map(), for as long as there is a binding or a fragment of the memory. */
  mapped(): Uint8Array {
    if (this.#view === undefined) {
      if (this.size > MAX_LENGTH) throw tooLargeToMap(this.size);
      const buffer = this.mapping().buffer();
      if (buffer === undefined) throw closedError();
      this.#view = new Uint8Array(buffer);
    }
    return this.#view;
  }

  /**
   * Runs `callback`, which is not to be asynchronous, between DMA_BUF_IOCTL_SYNC's
   * start and end.
   *
   * @param access - what the CPU does there. Default `'read'`
   * @throws DevmemError ERR_DEVMEM_NOT_MAPPABLE for `cuda` memory
   * @throws SystemError where the exporter refuses
   */
  cpuAccess<T>(callback: () => T, access: CpuAccess = 'read'): T {
    this.#check();
    if (typeof callback !== 'function') {
      throw invalidArgType('callback', 'a function', callback);
    }
    checkOneOf('access', access, Object.keys(ACCESS) as readonly CpuAccess[]);
    const end = this.beginCpuAccess(access);
    try {
      return callback();
    } finally {
      end();
    }
  }

  /**
   * @internal As cpuAccess(), up to a call of what it returns, and for as long as there is a
   * binding or a fragment of the memory.
   */
  beginCpuAccess(access: CpuAccess): () => void {
    this.#checkThere();
    if (this.#backing.mappable === undefined) throw notMappable(this);
    const flags = ACCESS[access];
    this.#sync(flags);
    return () => {
      this.#sync(flags | DMA_BUF_SYNC_END);
    };
  }

  /**
   * Copies bytes out of the memory, before it returns: of `cuda` memory by a copy
   * from device to host that is as slow as the bus, so read a lot of it in pieces.
   *
   * @param offset - bytes from the start, 0 to `size`
   * @param size - bytes, up to `buffer.constants.MAX_LENGTH`; `offset + size` must not pass
   *   the end
   * @throws SystemError ENOMEM where there is no room for a copy of `size` bytes
   * @throws DevmemError ERR_DEVMEM_NOT_MAPPABLE for imported dma-bufs that no CPU can see
   * @throws CudaError ERR_DEVMEM_CUDA where CUDA fails
   */
  read(offset: number, size: number): Buffer {
    checkInteger('offset', offset, 0, this.size);
    checkInteger('size', size, 0, this.size - offset);
    this.#check();
    const target = bufferOf(size);
    const { device } = this.#backing;
    if (device !== undefined) {
      device.read(offset, target);
    } else {
      const mapping = this.mapping();
      this.cpuAccess(() => mapping.read(offset, target));
    }
    return target;
  }

  /**
   * Copies bytes into the memory, before it returns.
   *
   * @param offset - bytes from the start
   * @param bytes - `offset + bytes.length` must not pass the end
   * @throws as `read()` does
   */
  write(offset: number, bytes: Uint8Array): void {
    checkInteger('offset', offset, 0, this.size);
    checkUint8Array('bytes', bytes);
    checkInteger('bytes.length', bytes.length, 0, this.size - offset);
    this.#check();
    const { device } = this.#backing;
    if (device !== undefined) {
      device.write(offset, bytes);
    } else {
      const mapping = this.mapping();
      this.cpuAccess(() => mapping.write(offset, bytes), 'write');
    }
  }

  /**
   * `cuda`: waits until the GPU sees what a NIC wrote; to be called once a batch,
   * before the GPU is set to work on it. Does nothing where the GPU orders such
   * writes by itself, nor for other types.
   *
   * @throws CudaError ERR_DEVMEM_CUDA where CUDA fails, or the GPU cannot
   */
  flush(): void {
    this.#check();
    this.#backing.device?.flush();
  }

  /**
   * `cuda`: what another process opens the memory by, with CUDA's IPC. All of it is
   * opened, whichever part is named. The memory must not be closed before the other
   * process has closed what it opened, which `handOff()` can tell.
   *
   * @param offset - bytes from the start, for the other process to add. Default 0
   * @param size - bytes. Default: to the end
   * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY for other types: send their descriptor
   * @throws CudaError ERR_DEVMEM_CUDA where CUDA refuses
   */
  ipcHandle(offset = 0, size = this.size - offset): IpcHandle {
    checkInteger('offset', offset, 0, this.size);
    checkInteger('size', size, 0, this.size - offset);
    this.#check();
    const { device } = this.#backing;
    if (device === undefined) throw noIpc(this.type);
    return { ...device.ipc(), offset, size };
  }

  /**
   * @internal Memory of a GPU, as that has it; undefined for other memory. Closed, it can
   * still hold fragments.
   */
  get onDevice(): DeviceCopies | undefined {
    return this.#backing.device;
  }

  /**
   * @internal Calls back once the memory is closed and nobody receives into it any more,
   * at once if that is so: for what was made of it and has to end with it.
   *
   * @returns what takes that back
   */
  whenClosed(callback: () => void): () => void {
    if (this.#ended) callback();
    else this.#closings.add(callback);
    return () => this.#closings.delete(callback);
  }

  /** @internal Calls back where it is closed, before anything of it is. */
  whenClosing(callback: () => void): () => void {
    this.#beforeClosing.add(callback);
    return () => this.#beforeClosing.delete(callback);
  }

  /** @internal For as long as there is a binding or a fragment of the memory. */
  mapping(): Mapping {
    this.#checkThere();
    const { mappable } = this.#backing;
    if (mappable === undefined) throw notMappable(this);
    if (this.#mapping === undefined) {
      const mapping = native().mapFd(mappable, this.size);
      if (typeof mapping === 'number') throw mapError(this, systemError(mapping, 'mmap'));
      this.#mapping = mapping;
    }
    return this.#mapping;
  }

  /**
   * Ends the use of the object, and closes the descriptors once no binding and no fragment
   * needs the memory any more: those can be read, by `view()` and by a reader, until then.
   * An array of `map()` keeps the memory beyond that. A second call does nothing.
   */
  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const callback of this.#beforeClosing) callback();
      this.ownership.whenUnused(() => {
        this.#end();
      });
    }
    return Promise.resolve();
  }

  #end(): void {
    this.#ended = true;
    for (const callback of this.#closings) callback();
    this.#view = undefined;
    this.#mapping?.close();
    this.#backing.close();
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('DmaBuf', () => {
      const { type, size, devicePtr, exporter, closed } = this;
      return { type, size, devicePtr, exporter, fd: closed ? undefined : this.fd, closed };
    });
  }

  #sync(flags: number): void {
    const { dmaBuf } = this.#backing;
    // Close()d by the callback, it has nothing to end.
    if (dmaBuf === undefined || this.#ended) return;
    // It maps its pages for what the first access does, and may not be told of another
    // kind later (drivers/dma-buf/udmabuf.c begin_cpu_udmabuf; DMA_API_DEBUG complains).
    const both = this.type === 'udmabuf' ? ACCESS['read-write'] : 0;
    const status = native().dmaBufSync(dmaBuf, flags | both);
    if (status < 0) throw systemError(status, 'ioctl(DMA_BUF_IOCTL_SYNC)');
  }

  #check(): void {
    if (this.#closed) throw closedError();
  }

  #checkThere(): void {
    if (this.#ended) throw closedError();
  }
}

function bufferOf(size: number): Buffer {
  const hint = 'Read it in parts';
  if (size > MAX_LENGTH) {
    throw outOfRange('size', `at most ${MAX_LENGTH}, the longest Buffer. ${hint}`, size);
  }
  try {
    return Buffer.allocUnsafe(size);
  } catch (cause) {
    throw systemError(-ENOMEM, 'read', { subject: `a copy of ${size} bytes`, hint, cause });
  }
}
