/** Binding memory to receive queues, by the transport that this machine has. */
import { channel } from 'node:diagnostics_channel';

import {
  checkInteger,
  checkObject,
  checkOneOf,
  DevmemError,
  invalidArgType,
  isSystemError,
  systemError,
} from '../errors.js';
import { DmaBuf } from '../memory/dma-buf.js';
import { Binding } from '../receive/binding.js';
import { explainBindError } from './bind-errors.js';
import { checkInterface, checkQueues, interfaceIndex } from './interface-arguments.js';
import { checkCopyMemory, checkDevmemMemory } from './memory-checks.js';
import { getRings } from './netlink/ethtool.js';
import { NetdevNetlink } from './netlink/netdev.js';

/**
 * - `devmem`: the kernel's devmem path, or an error.
 * - `copy`: plain reception into host memory.
 * - `auto`: devmem where it can be had, else copy; `binding.fallback` tells why.
 */
export type Mode = 'auto' | 'devmem' | 'copy';

export interface BindRxOptions {
  /** The network interface to receive on, e.g. `'eth1'`. Not needed for `mode: 'copy'`. */
  interface?: string;
  /** Receive queues to bind, e.g. `[14, 15]`; each 0 to 65535. Not needed for `mode: 'copy'`. */
  queues?: readonly number[];
  /** Where payload goes. Stays the caller's: close it after the binding. */
  memory: DmaBuf;
  /** Default `'auto'`. */
  mode?: Mode;
  /**
   * Bytes of the memory that fragments in use may hold before reading stops, up to
   * the memory's size. Default: half of it on the devmem path, where the NIC's
   * rings and data waiting in sockets need the rest; all of it on the copy path.
   */
  heldLimit?: number;
  /**
   * Milliseconds for which reading may stand still because fragments are not
   * released before the process is warned, 1 to 2^31-1, or Infinity for never.
   * Default 10000.
   */
  stallWarningMs?: number;
}

/** Published on the diagnostics channel `devmem-tcp:fallback`. */
export interface FallbackMessage {
  interface: string | undefined;
  reason: Error;
}

const fallbackChannel = channel('devmem-tcp:fallback');

const STALL_WARNING_MS = 10_000;
const PAGE = 4096;

interface Checked {
  interface: string | undefined;
  queues: readonly number[];
  memory: DmaBuf;
  mode: Mode;
  heldLimit: number | undefined;
  stallWarningMs: number;
}

/**
 * Binds memory to receive queues: from then on the NIC puts TCP payload of those
 * queues into it. Closing the binding undoes that; so does the end of the process.
 *
 * The devmem path needs CAP_NET_ADMIN, header split on (`tcp-data-split`,
 * `hds-thresh 0`), a driver with queue management and a kernel with
 * CONFIG_NET_DEVMEM (net/core/devmem.c).
 *
 * @throws TypeError, RangeError for unusable arguments, whatever the mode
 * @throws DevmemError ERR_DEVMEM_MEMORY_IN_USE, whatever the mode, while another
 *   binding, or anything received through one, uses the memory
 * @throws SystemError in mode 'devmem': ENODEV (no such interface), EPERM, ERANGE or
 *   EINVAL (no such queue), EEXIST (queue bound, XDP attached), EBUSY (AF_XDP),
 *   EOPNOTSUPP (driver), ENODATA or EINVAL (header split off), ENOENT (kernel)
 * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY; ERR_DEVMEM_MEMORY_TOO_SMALL in mode 'devmem'
 */
export async function bindRx(options: BindRxOptions): Promise<Binding> {
  const checked = check(options);
  if (checked.mode === 'copy') return bindCopy(checked, undefined);
  try {
    return await bindDevmem(checked);
  } catch (error) {
    const expected = isSystemError(error) || error instanceof DevmemError;
    if (checked.mode === 'devmem' || !expected) throw error;
    const binding = bindCopy(checked, error);
    if (fallbackChannel.hasSubscribers) {
      const message: FallbackMessage = { interface: checked.interface, reason: error };
      fallbackChannel.publish(message);
    }
    return binding;
  }
}

function check(options: BindRxOptions): Checked {
  checkObject('options', options);
  const mode = checkOneOf('options.mode', options.mode ?? 'auto', ['auto', 'devmem', 'copy']);
  const { memory, heldLimit, stallWarningMs = STALL_WARNING_MS } = options;
  if (!(memory instanceof DmaBuf)) {
    throw invalidArgType('options.memory', 'a DmaBuf, as DmaBuf.allocate() makes it', memory);
  }
  if (memory.closed) throw new DevmemError('ERR_DEVMEM_CLOSED', 'options.memory was closed');
  if (memory.user?.usesMemory) {
    throw new DevmemError(
      'ERR_DEVMEM_MEMORY_IN_USE',
      'options.memory is in use: two bindings would write over each other. Close the binding that has it, close its sockets and release their fragments, or allocate more memory',
    );
  }
  if (heldLimit !== undefined) checkInteger('options.heldLimit', heldLimit, PAGE, memory.size);
  if (stallWarningMs !== Infinity) {
    checkInteger('options.stallWarningMs', stallWarningMs, 1, 2 ** 31 - 1);
  }
  const needed = mode === 'devmem';
  if (needed || options.interface !== undefined) checkInterface(options.interface);
  const queues = options.queues ?? [];
  if (needed || options.queues !== undefined) checkQueues(options.queues);
  return {
    interface: options.interface,
    queues: [...queues],
    memory,
    mode,
    heldLimit,
    stallWarningMs,
  };
}

function bindCopy(checked: Checked, fallback: Error | undefined): Binding {
  checkCopyMemory(checked.memory, fallback);
  return new Binding({
    transport: 'copy',
    memory: checked.memory,
    id: 0,
    interface: checked.interface,
    queues: [],
    heldLimit: checked.heldLimit ?? checked.memory.size,
    stallWarningMs: checked.stallWarningMs,
    ringBytes: 0,
    fallback,
    unbind: () => {},
  });
}

async function bindDevmem(checked: Checked): Promise<Binding> {
  const { memory, queues } = checked;
  if (checked.interface === undefined || queues.length === 0) {
    throw new DevmemError(
      'ERR_DEVMEM_UNSUPPORTED',
      'The devmem path needs options.interface and options.queues, and they were not given',
    );
  }
  const index = interfaceIndex(checked.interface);
  await checkDevmemMemory(checked.interface, memory);
  const ringBytes = await checkRings(checked.interface, queues.length, memory.size);
  const netdev = await NetdevNetlink.open();
  try {
    const id = await requestBinding(netdev, checked.interface, index, queues, memory.fd);
    return new Binding({
      transport: 'cmsg',
      memory,
      id,
      interface: checked.interface,
      queues,
      heldLimit: checked.heldLimit ?? Math.floor(memory.size / 2 / PAGE) * PAGE,
      stallWarningMs: checked.stallWarningMs,
      ringBytes,
      unbind: () => {
        netdev.close();
      },
    });
  } catch (error) {
    netdev.close();
    throw error;
  }
}

/** Bytes that the queues' rings keep filled. Memory below that could never receive. */
async function checkRings(name: string, queues: number, size: number): Promise<number> {
  const entries = (await getRings(name).catch(() => undefined))?.rx ?? 0;
  const ringBytes = entries * queues * PAGE;
  if (ringBytes >= size) {
    throw new DevmemError(
      'ERR_DEVMEM_MEMORY_TOO_SMALL',
      `options.memory has ${size} bytes, but ${queues} queue(s) of ${name} with rings of ${entries} entries take ${ringBytes} bytes to fill, and what is being read comes on top. Allocate at least ${2 * ringBytes} bytes, bind fewer queues, or shrink the rings with 'ethtool -G ${name} rx N'`,
    );
  }
  return ringBytes;
}

async function requestBinding(
  netdev: NetdevNetlink,
  name: string,
  index: number,
  queues: readonly number[],
  fd: number,
): Promise<number> {
  if (!netdev.canBindRx) {
    throw systemError(-95, 'netdev bind-rx', {
      subject: 'this kernel cannot bind device memory',
      hint: 'It needs Linux 6.12 or newer with CONFIG_NET_DEVMEM, or the patches in kernel/patches',
    });
  }
  const { id, errno, kernelMessage } = await netdev.bindRx(index, queues, fd);
  if (errno === 0 && id !== undefined) return id;
  throw await explainBindError(netdev, { name, index, queues, errno, kernelMessage });
}
