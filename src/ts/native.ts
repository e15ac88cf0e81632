/**
 * The native addon: what it exports. Functions that make a system call return a
 * negative errno where it fails; errors are built here in TypeScript, where there are
 * words for them.
 */
import { DevmemError } from './errors.js';
import { type Loaded, loadAddon, type Unsupported, unsupportedText } from './load-addon.js';

/** A file descriptor that closes with close(), by garbage collection, or with its thread. */
export interface OwnedFd {
  /** The descriptor's number; -1 once closed. */
  readonly fd: number;
  close(): void;
}

/** Mapped memory. Stays mapped while an ArrayBuffer over it, or an arena in it, lives. */
export interface Mapping {
  /** All of it, the same object at each call. */
  buffer(): ArrayBuffer | undefined;
  /** Copies `target.length` bytes from `offset`; false if they do not all lie inside. */
  read(offset: number, target: Uint8Array): boolean;
  /** Copies `source` to `offset`; false if it does not all lie inside. */
  write(offset: number, source: Uint8Array): boolean;
  close(): void;
}

/** One thread's claim to a memory; dropped by garbage collection and with its thread, too. */
export interface MemoryClaim {
  /** Whether it has the memory now, which it has not while another one has it. */
  take(): boolean;
  drop(): void;
}

/**
 * CUDA's driver, found at run time. Functions return a negative CUresult where a
 * call fails; devices are numbered from 0.
 */
export interface Cuda {
  /** Returns why it cannot be had; undefined once loaded, which comes before all else. */
  load(): string | undefined;
  init(): Promise<number>;
  /** 1000 * major + 10 * minor. */
  driverVersion(): number;
  /** Name and description of a (positive) CUresult; empty where CUDA knows none. */
  errorText(result: number): [name: string, description: string];
  deviceCount(): number;
  deviceName(device: number): string | number;
  devicePciAddress(device: number): string | number;
  /** 16 bytes. */
  deviceUuid(device: number): Buffer | number;
  deviceBytes(device: number): number;
  deviceAttribute(device: number, attribute: number): number;
}

/**
 * Memory of a device, made by retain(), allocate() and export() in this order, one
 * at a time. close() (or garbage collection, or the end of its thread) closes the
 * descriptor first and frees the memory then.
 */
export interface CudaMemory {
  retain(): Promise<number>;
  allocate(size: number): Promise<number>;
  export(flags: number): Promise<number>;
  read(offset: number, target: Uint8Array): number;
  write(offset: number, source: Uint8Array): number;
  flush(): number;
  /** 64 bytes, by which other processes open all of it. */
  ipcHandle(): Buffer | number;
  /** The dma-buf's descriptor; -1 before export() and after close(). */
  readonly fd: number;
  readonly address: bigint;
  close(): void;
}

/** What failed, of CUDA's calls, and with which CUresult. */
export interface CudaFailure {
  call: string;
  result: number;
}

/** Where the CUDA engine copies from or to; of a Mapping the GPU knows nothing. */
export type CudaPlace = CudaMemory | CudaRegistration | Mapping;

/** The number of a launch; 0: all slots are taken, until some launch has ended. */
export type Launched = number | CudaFailure;

/**
 * Copies on a GPU (src/native/gather/cuda_engine.h), by open() and start() first. Launches
 * are numbered from 1 and end in that order.
 */
export interface CudaGather {
  open(): Promise<CudaFailure | undefined>;
  start(): CudaFailure | undefined;
  /**
   * Copies `length` bytes of `count` fragments, from byte `skip` of the first one on.
   *
   * @param offsets - bytes from the start of `source`
   * @param sizes - bytes
   * @param target - undefined: staging, for collect()
   * @param offset - bytes from the start of `target`
   */
  gather(
    source: CudaPlace,
    offsets: Float64Array,
    sizes: Uint32Array,
    first: number,
    count: number,
    skip: number,
    length: number,
    target: CudaMemory | CudaRegistration | undefined,
    offset: number,
  ): Launched;
  /** Copies bytes, which are read before it returns. */
  write(
    bytes: Uint8Array,
    from: number,
    length: number,
    target: CudaMemory,
    offset: number,
  ): Launched;
  /**
   * Copies out of staging what a launch that is done put there, before it is retired.
   *
   * @returns whether the target has room for it
   */
  collect(launch: number, target: Uint8Array | Mapping, offset: number): boolean;
  /** The launches up to this one, which have ended, need their slots no longer. */
  retire(launch: number): void;
  /** Waits for what is under way. */
  close(): void;
}

/** Host memory, registered with CUDA until close() and until no launch needs it any more. */
export interface CudaRegistration {
  register(): Promise<CudaFailure | undefined>;
  close(): void;
}

/** Carries netlink messages; see nic/netlink for what is in them. */
export interface NetlinkSocket {
  open(protocol: number): number;
  /** One at a time. Resolves with the answer's messages, or a negative errno. */
  request(message: Uint8Array): Promise<Uint8Array | number>;
  close(): void;
}

/** Events for FdWatcher.start(); uv.h UV_READABLE, UV_WRITABLE. */
export const WATCH_READABLE = 1;
export const WATCH_WRITABLE = 2;

/** Tells when a descriptor can be read or written, by a duplicate of it. */
export interface FdWatcher {
  /** Duplicates the descriptor. Returns 0 or a negative errno. */
  open(fd: number): number;
  /** Calls back while any of the WATCH_* events holds. Returns 0 or a negative errno. */
  start(events: number): number;
  stop(): void;
  ref(): void;
  unref(): void;
  /** To be called at the latest when nobody needs it: until then it stays alive. */
  close(): void;
}

/** What one recvmsg on a Unix-domain socket gave. */
export interface ReceivedFds {
  /** Bytes read; 0 at the end of the stream. */
  bytes: number;
  /** All that came, up to 253; closed on another thread (ipc/strangers.ts). */
  fds: OwnedFd[];
  /** Some were lost, because this process can have no more. */
  truncated: boolean;
}

/** Who connected a Unix-domain socket, as of then (SO_PEERCRED). */
export interface Credentials {
  /** Process, as this pid namespace numbers it; 0: in none that it sees. */
  pid: number;
  /** Its effective user. */
  uid: number;
  /** Its effective primary group. */
  gid: number;
}

/** What C++ and JavaScript both look at, as the addon has it (src/native/receive/layout.cc). */
export interface Layout {
  /** Names of the counters, in the order in which they lie in memory. */
  counters: readonly string[];
  /** A slot of the frag ring: its descriptors, and where its columns begin, in bytes. */
  slot: { capacity: number; offsets: number; sizes: number; sources: number };
  /** Bits of OnBatch's `flags`. */
  flags: {
    /** The peer sent all it will. */
    end: number;
    /** Reading stopped for want of memory, although somebody waits. */
    stalled: number;
    /** Reading stopped: enough is read ahead, until somebody waits. */
    ahead: number;
    /** What bytes landed in is full, or gone. */
    landed: number;
  };
  /** A pool's readout: indexes of a Float64Array, and how long that has to be. */
  pool: { held: number; members: number; length: number };
}

/** A binding's memory, as its sockets share it; src/native/receive/pool.h tells the rest. */
export type Pool = object;

/** What the kernel's io_uring can do of zero-copy receive (io_uring/query.h). */
export interface ZcrxAbilities {
  /** Areas that are dma-bufs. */
  dmabufAreas: boolean;
  /** Taking what was given back although the NIC needs none (ZCRX_CTRL_FLUSH_RQ). */
  flushes: boolean;
  /** Buffers of a given size. */
  bufferSizes: boolean;
  /** Telling when the memory runs dry. */
  events: boolean;
}

/** An rx queue whose buffers io_uring provides; src/native/zcrx/queue.h tells the rest. */
export interface ZcrxQueue {
  /** Makes the ring, once. Returns 0 or a negative errno of io_uring_setup (EINVAL: again). */
  open(): number;
  /**
   * Takes the queue, once. Returns 0 or a negative errno of io_uring_register (EBADF: there
   * is no ring; EINVAL: again, or no such size).
   *
   * @param fd - the dma-buf's; not needed after the call
   * @param size - bytes, of all of it
   * @param bufferSize - bytes; 0: a page
   * @param events - whether to tell when the memory runs dry
   */
  register(
    interfaceIndex: number,
    queue: number,
    fd: number,
    size: number,
    bufferSize: number,
    events: boolean,
  ): number;
  /** Gives the queue up; the kernel does that a little later. */
  close(): void;
}

/** A queue by which the kernel takes fragments back; src/native/queue/token_queue.h tells the rest. */
export interface TokenQueue {
  /**
   * Makes it, once. Returns 0 or a negative errno (ENOPROTOOPT: the kernel has none; EINVAL:
   * again).
   */
  open(): number;
  /** Sockets that have it go on without. */
  close(): void;
}

/**
 * One wake's worth of news from a socket. What follows `count` is left out where there
 * is none of it.
 *
 * @param first - number of the first descriptor: slot * capacity + index
 * @param count - descriptors in the batch, possibly 0
 * @param flags - bits of Layout.flags
 * @param error - 0, or a negative errno that ends the stream after this batch
 * @param linear - the batch's linear bytes, in stream order
 */
export type OnBatch = (
  first: number,
  count: number,
  flags?: number,
  error?: number,
  linear?: Buffer,
) => void;

/** The receiving side of one socket; src/native/receive/receiver.h tells the rest. */
export interface Receiver {
  /** Fragments may lie in this memory too. Returns 0 or a negative errno. */
  addPool(pool: Pool): number;
  /** Duplicates the descriptor. Returns 0 or a negative errno. */
  open(fd: number): number;
  /** Reads: for somebody who waits, or ahead of all who do. Returns 0 or a negative errno. */
  resume(waiting: boolean): number;
  pause(): void;
  /**
   * After a stall: whether enough memory is free for reading on to pay, or with
   * `patient` false, whether any is.
   */
  canResume(patient: boolean): boolean;
  /** Reads on and drops what comes; only an end or an error is told. 0 or a negative errno. */
  discard(): number;
  /** Releases neighbouring descriptors. Returns a negative errno where it failed. */
  releaseRange(first: number, count: number): number | undefined;
  /**
   * From now on what comes goes to `target[at]` and the following, `length` bytes, until that
   * is full. Returns 0 or a negative errno: EOPNOTSUPP where the transport cannot do that.
   */
  land(target: Mapping | Uint8Array, at: number, length: number): number;
  /** Ends that. Returns how many bytes came. */
  endLanding(): number;
  /** Releases descriptors by number, in any order. Returns a negative errno where it failed. */
  release(numbers: Uint32Array, count: number): number | undefined;
  /**
   * Gives back bytes of a descriptor, of which none was before. All others of it have to be
   * given back like that then, and the descriptor at last. False where it has no such bytes,
   * or where fragments go back whole (Transport.divides).
   */
  releasePart(number: number, at: number, bytes: number): boolean;
  /** Fragments handed out and not released. */
  readonly held: number;
  /** Whether no other socket holds any of its pools' memory. */
  readonly alone: boolean;
  /** Whether its fragments go back by a token queue: so from open() on, for good. */
  readonly queued: boolean;
  /** Sets SO_RCVBUF, in bytes as the kernel accounts them. Returns 0 or a negative errno. */
  setReceiveBuffer(bytes: number): number;
  /**
   * Wakes at every so many bytes of the stream, from `ahead` bytes before what is read
   * next. Returns 0 or a negative errno of SO_RCVLOWAT.
   */
  setLowWaterMark(bytes: number, ahead: number): number;
  ref(): void;
  unref(): void;
  /** Ends reading, and leaves the pools; the descriptor closes with the last release. */
  close(): void;
}

export interface Native {
  open(path: string): OwnedFd | number;
  duplicateFd(fd: number): OwnedFd | number;
  /** Bytes, by seeking. */
  fileSize(fd: OwnedFd): number;
  /** The file system's magic number (linux/magic.h). */
  fileSystemType(fd: OwnedFd): number;
  /** O_* as the file was opened, or a negative errno. */
  fileFlags(fd: OwnedFd): number;
  mapFd(fd: OwnedFd, size: number): Mapping | number;
  /** `flags`: MFD_* besides MFD_CLOEXEC and MFD_ALLOW_SEALING. */
  memfdCreate(name: string, size: number, flags: number): OwnedFd | number;
  /** F_SEAL_*; a negative errno of a file that is not shared memory. Asks no file system. */
  memfdSeals(fd: OwnedFd): number;
  /** fallocate: gives a file its pages. */
  allocatePages(fd: OwnedFd, size: number): Promise<number>;
  udmabufCreate(device: OwnedFd, memfd: OwnedFd, size: number): Promise<OwnedFd | number>;
  dmaHeapAllocate(heap: OwnedFd, size: number): Promise<OwnedFd | number>;
  /** DMA_BUF_IOCTL_SYNC with the given DMA_BUF_SYNC_* flags. */
  dmaBufSync(fd: OwnedFd, flags: number): number;
  /** `memory`: a string that it has to itself among the memory of this machine. */
  readonly MemoryClaim: new (memory: string) => MemoryClaim;
  readonly Cuda: new () => Cuda;
  readonly CudaMemory: new (cuda: Cuda, device: number, endsWithProcess: boolean) => CudaMemory;
  readonly CudaGather: {
    /**
     * `onEnded`: the launches up to `launch` that it was not called for yet are done, or,
     * with `failure`, have all failed.
     */
    new (
      cuda: Cuda,
      device: number,
      endsWithProcess: boolean,
      onEnded: (launch: number, failure?: CudaFailure) => void,
    ): CudaGather;
    /** Fragments of one launch, at most. */
    readonly fragments: number;
    /** Bytes of one launch that goes through staging, at most. */
    readonly stagingBytes: number;
    /** Launches under way at once, at most. */
    readonly slots: number;
  };
  readonly CudaRegistration: new (
    cuda: Cuda,
    device: number,
    mapping: Mapping,
    endsWithProcess: boolean,
  ) => CudaRegistration;
  /** How much of CUDA this process has, but for memory. */
  cudaLive(): {
    contexts: number;
    streams: number;
    events: number;
    modules: number;
    pinnedBytes: number;
    registrations: number;
    threads: number;
  };
  /**
   * ioctl(SIOCETHTOOL) with a command of nic/ioctl, answered in place. EINVAL where
   * the counts in the command reach past its end.
   */
  ethtoolIoctl(interfaceName: string, command: Uint8Array): number;
  /** An exclusive flock(2) on a descriptor, without waiting: 0, or a negative errno. */
  tryLock(fd: number): number;
  /** How this kernel refuses a malformed SO_DEVMEM_DONTNEED: a negative errno. */
  dontneedError(): number;
  /**
   * Copies descriptors `first` to `first + count` of the source, one behind the other, to
   * `at` in the target. False where one is not inside: those before it are copied.
   */
  gatherHost(
    offsets: Float64Array,
    sizes: Uint32Array,
    first: number,
    count: number,
    source: Mapping,
    target: Mapping | Uint8Array,
    at: number,
  ): boolean;
  /** As gatherHost(), on another thread, once all were found to be inside. */
  gatherHostAsync(
    offsets: Float64Array,
    sizes: Uint32Array,
    first: number,
    count: number,
    source: Mapping,
    target: Mapping,
    at: number,
  ): Promise<boolean> | false;
  /** The package's version that it was built of. */
  readonly version: string;
  readonly layout: Layout;
  /** What gives the frag ring its memory: so many doubles over a SharedArrayBuffer. */
  setSlotMaker(make: (doubles: number) => Float64Array): void;
  /** What the maker gave for a slot (src/native/receive/frag_ring.h). */
  slotMemory(slot: number): Float64Array;
  /** [slots of the frag ring, descriptors not released], of this thread. */
  ringUsage(): Float64Array;
  /** Bytes sent, perhaps fewer than given, or a negative errno. `fds` go with the first. */
  sendFds(fd: number, bytes: Uint8Array, fds: readonly number[]): number;
  receiveFds(fd: number, buffer: Uint8Array): ReceivedFds | number;
  /**
   * Closes them on another thread. What it returns can be read, to its end, once that is
   * done; a negative errno where that cannot be told.
   */
  closeElsewhere(fds: readonly OwnedFd[]): OwnedFd | number;
  peerCredentials(fd: number): Credentials | number;
  /** A Unix-domain stream socket, bound to a path, that does not listen yet. */
  bindUnix(path: string): OwnedFd | number;
  listenUnix(fd: number, backlog: number): number;
  /** A connection, closed on another thread, or a negative errno (EAGAIN: nobody waits). */
  acceptUnix(fd: number): OwnedFd | number;
  /** A duplicate that its receiver (Node, say) has to close. */
  duplicateNumber(fd: number): number;
  /**
   * A duplicate of a listening Unix-domain stream socket, which does not block from here
   * on. EINVAL for any other descriptor.
   */
  takeListening(fd: number): OwnedFd | number;
  /** What a socket is bound to; '' without a path. */
  unixPath(fd: number): string | number;
  /**
   * connect(2) of a datagram socket: on a stream socket's file EPROTOTYPE while a socket is
   * bound to it, listening or not, and ECONNREFUSED afterwards.
   */
  connectDatagram(path: string): number;
  /** A netlink socket that has joined the groups of a mask. */
  openNetlinkGroups(protocol: number, groups: number): OwnedFd | number;
  /** The messages of one datagram, or a negative errno (EAGAIN: none there). */
  receiveNetlink(fd: OwnedFd): Uint8Array | number;
  readonly FdWatcher: new (onReady: () => void) => FdWatcher;
  readonly NetlinkSocket: new () => NetlinkSocket;
  /**
   * `readout` and `counters` below lie in SharedArrayBuffers. With a mapping, the pool is
   * one that the copy transport fills, with a ZcrxQueue, one that io_uring does; with a
   * TokenQueue, its sockets use that.
   */
  readonly Pool: new (
    id: number,
    size: number,
    pageSize: number,
    limit: number,
    readout: Float64Array,
    filler: Mapping | ZcrxQueue | TokenQueue | undefined,
  ) => Pool;
  /** What the kernel can do, or a negative errno. */
  queryZcrx(): ZcrxAbilities | number;
  readonly ZcrxQueue: new (onMemoryDry: () => void) => ZcrxQueue;
  readonly TokenQueue: new () => TokenQueue;
  /** Takes no pool whose queue was never registered (TypeError). */
  readonly Receiver: new (pool: Pool, counters: Float64Array, onBatch: OnBatch) => Receiver;
}

let loaded: Loaded | undefined;

/**
 * The addon.
 *
 * @throws DevmemError ERR_DEVMEM_UNSUPPORTED where it cannot be loaded
 */
export function native(): Native {
  loaded ??= loadAddon();
  if ('addon' in loaded) return loaded.addon as Native;
  const { unsupported: why } = loaded;
  throw new DevmemError('ERR_DEVMEM_UNSUPPORTED', unsupportedText(why), { cause: why.cause });
}

/** @internal Why the addon cannot be loaded, part by part; undefined where it can. */
export function unsupported(): Unsupported | undefined {
  loaded ??= loadAddon();
  return 'addon' in loaded ? undefined : loaded.unsupported;
}

/**
 * Whether this package can receive anything here: on Linux, with its addon
 * loaded. The copy transport then works; whether devmem does is for
 * `bindRx({ mode: 'devmem' })` to find out.
 */
export function isSupported(): boolean {
  return unsupported() === undefined;
}

/**
 * Why this package cannot receive anything here, in the words of what failed, and what
 * mends it; undefined where it can. It is the message of the ERR_DEVMEM_UNSUPPORTED that
 * what needs the addon throws.
 */
export function unsupportedReason(): string | undefined {
  const why = unsupported();
  return why === undefined ? undefined : unsupportedText(why);
}
