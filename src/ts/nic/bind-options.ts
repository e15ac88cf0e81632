/** What bindRx() takes, and checking it. */
import { checkAbortSignal } from '../abort.js';
import {
  checkInteger,
  checkObject,
  checkOneOf,
  DevmemError,
  invalidArgType,
  invalidArgValue,
  outOfRange,
} from '../errors.js';
import { DmaBuf } from '../memory/dma-buf.js';
import { checkInterface, checkQueues } from './interface-arguments.js';

/**
 * What `bindRx()` does where the devmem path cannot be had:
 *
 * - `devmem`: rejects. `interface` and `queues` are needed.
 * - `copy`: never tries. Payload comes by plain recv(2) into memory that the CPU can map;
 *   an `interface` and `queues` are checked for their form only. `binding.fallback` is
 *   undefined.
 * - `auto`: tries devmem, and copies where the kernel, the driver, the broker or the
 *   memory's type stands in the way, and where `interface` or `queues` was left out
 *   (ERR_DEVMEM_NO_QUEUES). `binding.fallback` is the error that says which; undefined on
 *   the devmem path. The diagnostics channel `devmem-tcp:fallback` tells it each time, a
 *   warning of the process (`DEVMEM_FALLBACK`) the first time that an `interface` was
 *   named. An interface that is not there (ENODEV) is an error here too; so is a queue
 *   (ERANGE), of memory that a NIC could receive into. So are wrong arguments, memory in
 *   use, and memory that cannot be copied into either (ERR_DEVMEM_WRONG_MEMORY).
 */
export type Mode = 'auto' | 'devmem' | 'copy';

/**
 * How payload comes into device memory:
 *
 * - `cmsg`: by recvmsg and control messages (net/core/devmem.c), on every kernel that has
 *   the devmem path.
 * - `queue`: the same, but fragments go back without system calls, by memory that the thread
 *   shares with the kernel. Needs a kernel with `kernel/patches/linux-6.12-token-queue` or
 *   `linux-7-token-queue` (net/core/devmem_queue.c there).
 * - `zcrx`: by io_uring's zero-copy receive (io_uring/zcrx.c), Linux 6.19 and newer. Takes
 *   one queue, and CAP_NET_ADMIN in the first user namespace.
 * - `auto`: `queue` where the kernel has it, else `cmsg`.
 */
export type DeviceTransport = 'auto' | 'cmsg' | 'queue' | 'zcrx';

/** Options of `bindRx()`. */
export interface BindRxOptions {
  /**
   * The network interface to receive on, e.g. `'eth1'`, by its own name or an
   * alternative one. Without it mode `auto` copies; mode `copy` does not need it.
   */
  interface?: string;
  /**
   * Receive queues to bind, e.g. `[14, 15]`; each 0 to 65535. Without them mode `auto`
   * copies, also where an interface is named; mode `copy` does not need them.
   */
  queues?: readonly number[];
  /** Where payload goes. Stays the caller's: close it after the binding. */
  memory: DmaBuf;
  /** What to do where the devmem path cannot be had. Default `'auto'`. */
  mode?: Mode;
  /** Default `'auto'`. Makes no difference for what is copied. */
  transport?: DeviceTransport;
  /**
   * Path of a broker's socket (`devmem-tcp broker`): it binds in place of this process,
   * which then needs no CAP_NET_ADMIN. The binding lasts as long as both do.
   */
  broker?: string;
  /**
   * Bytes of the pages that the NIC fills (io_uring: `rx_buf_len`): a power of two, 4096 or more, and no more
   * than the alignment of the memory's pieces allows. Larger ones cost the NIC less,
   * and a short fragment more. Needs Linux 7 (net/core/netdev-genl.c
   * NETDEV_A_DMABUF_RX_PAGE_SIZE) and a driver that supports it. Default: 4096.
   */
  rxPageSize?: number;
  /**
   * Bytes of the memory that fragments in use may hold before reading stops, from one
   * rx page up to the memory's size. Default: half of it on the devmem path, where the NIC's
   * rings and data waiting in sockets need the rest; all of it on the copy path.
   */
  heldLimit?: number;
  /**
   * Milliseconds for which reading may stand still because fragments are not
   * released before the process is warned, 1 to 2^31-1, or Infinity for never.
   * Default 10000.
   */
  stallWarningMs?: number;
  /** Gives up binding when aborted. A binding that was made is closed by `close()` only. */
  signal?: AbortSignal;
}

const STALL_WARNING_MS = 10_000;
export const PAGE = 4096;
const MAX_PAGE = 2 ** 31;

/** @internal */
export interface CheckedOptions {
  interface: string | undefined;
  queues: readonly number[];
  memory: DmaBuf;
  mode: Mode;
  transport: DeviceTransport;
  broker: string | undefined;
  rxPageSize: number | undefined;
  heldLimit: number | undefined;
  stallWarningMs: number;
  signal: AbortSignal | undefined;
}

/** @internal */
export function checkOptions(options: BindRxOptions): CheckedOptions {
  checkObject('options', options);
  const mode = checkOneOf('options.mode', options.mode ?? 'auto', ['auto', 'devmem', 'copy']);
  const { heldLimit, rxPageSize, stallWarningMs = STALL_WARNING_MS } = options;
  const memory = checkMemory(options.memory);
  if (rxPageSize !== undefined) checkPageSize('options.rxPageSize', rxPageSize);
  if (heldLimit !== undefined) checkHeldLimit(heldLimit, memory, rxPageSize ?? PAGE);
  if (stallWarningMs !== Infinity) {
    checkInteger('options.stallWarningMs', stallWarningMs, 1, 2 ** 31 - 1);
  }
  if (options.broker !== undefined && typeof options.broker !== 'string') {
    throw invalidArgType('options.broker', "a path of a broker's socket", options.broker);
  }
  const needed = mode === 'devmem';
  if (needed || options.interface !== undefined) {
    checkInterface(options.interface);
  }
  if (options.signal !== undefined) checkAbortSignal('options.signal', options.signal);
  const transport = checkOneOf('options.transport', options.transport ?? 'auto', [
    'auto',
    'cmsg',
    'queue',
    'zcrx',
  ]);
  const queues = options.queues ?? [];
  if (needed || options.queues !== undefined) checkQueues(options.queues);
  if (transport === 'zcrx') checkZcrx(options);
  return {
    interface: options.interface,
    queues: [...queues],
    memory,
    mode,
    transport,
    broker: options.broker,
    rxPageSize,
    heldLimit,
    stallWarningMs,
    signal: options.signal,
  };
}

// The kernel gives a dma-buf to one queue alone, and only whole: two queues over the same
// memory would be two allocators over it.
function checkZcrx({ mode, queues, broker }: BindRxOptions): void {
  if (mode === 'copy') {
    throw invalidArgValue('options.transport', "'auto' or left out in mode 'copy'", 'zcrx');
  }
  if (broker !== undefined) {
    throw invalidArgValue(
      'options.broker',
      "left out with transport 'zcrx': a ring that another process registers cannot be used here",
      broker,
    );
  }
  if (queues === undefined || queues.length <= 1) return;
  throw invalidArgValue(
    'options.queues',
    "one queue with transport 'zcrx', whose queues each take a memory of their own, whole: call bindRx() for each, or use transport 'cmsg'",
    queues,
  );
}

function checkMemory(memory: unknown): DmaBuf {
  if (!(memory instanceof DmaBuf)) {
    throw invalidArgType('options.memory', 'a DmaBuf, as DmaBuf.allocate() makes it', memory);
  }
  if (memory.closed) throw new DevmemError('ERR_DEVMEM_CLOSED', 'options.memory was closed');
  return memory;
}

// A fragment keeps a whole page, however short it is: below that, none could be held.
function checkHeldLimit(heldLimit: unknown, memory: DmaBuf, page: number): void {
  checkInteger('options.heldLimit', heldLimit, PAGE, memory.size);
  if ((heldLimit as number) >= page) return;
  throw outOfRange('options.heldLimit', `>= options.rxPageSize (${page})`, heldLimit);
}

/** @throws TypeError, RangeError unless it is a power of two that could be a page's size */
export function checkPageSize(argument: string, size: unknown): number {
  const bytes = checkInteger(argument, size, PAGE, MAX_PAGE);
  if (!Number.isInteger(Math.log2(bytes))) throw outOfRange(argument, 'a power of two', size);
  return bytes;
}
