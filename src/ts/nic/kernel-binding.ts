/** Asking the kernel for a binding: with the privilege that it takes, here or in a broker. */
import { DevmemError, systemError } from '../errors.js';
import type { ZcrxQueue } from '../native.js';
import { PAGE } from './bind-options.js';
import { explainBindError } from './bind-errors.js';
import { findNic } from './devices.js';
import { getRings } from './netlink/ethtool.js';
import { NetdevNetlink } from './netlink/netdev.js';
import { printable, shellWord } from './quoting.js';
import { fillsMemoryOf, letGo } from './unbinding.js';

/** What is to be bound. */
export interface BindingRequest {
  interface: string;
  queues: readonly number[];
  /** The dma-buf's size, in bytes. */
  size: number;
  rxPageSize: number | undefined;
}

/** A binding that the kernel made. */
export interface KernelBinding {
  id: number;
  /** The rx queue, where io_uring provides its memory. */
  queue?: ZcrxQueue;
  interfaceIndex: number;
  /** Memory that the receive rings keep filled, in bytes. */
  ringBytes: number;
  /**
   * Unbinds; the promise resolves once that is done. Rejects where the memory is filled all
   * the same.
   */
  unbind(): Promise<void>;
  /** Has it called back once if the binding ends without unbind(). */
  onLost(callback: (reason: Error) => void): void;
}

/**
 * Binds, and holds the binding until unbind() or the end of this process.
 *
 * @param fd - the dma-buf's; not needed after the call
 */
export async function bindQueues(asked: BindingRequest, fd: number): Promise<KernelBinding> {
  const { name, index } = await findNic(asked.interface);
  const request = { ...asked, interface: name };
  const ringBytes = await checkRings(request);
  const netdev = await NetdevNetlink.open();
  try {
    const id = await requestBinding(netdev, index, request, fd);
    return {
      id,
      interfaceIndex: index,
      ringBytes,
      unbind: () => {
        netdev.close();
        const unbound = { interface: name, interfaceIndex: index, queues: asked.queues, ringBytes };
        return letGo(unbound, fillsMemoryOf(id));
      },
      // The kernel keeps it for as long as the netlink socket is open.
      onLost: () => {},
    };
  } catch (error) {
    netdev.close();
    throw error;
  }
}

/** Bytes that the queues' rings keep filled. Memory below that could never receive. */
export async function checkRings(request: BindingRequest): Promise<number> {
  const { interface: name, queues, size } = request;
  const entries = (await getRings(name).catch(() => undefined))?.rx ?? 0;
  const ringBytes = entries * queues.length * (request.rxPageSize ?? PAGE);
  if (ringBytes >= size) {
    throw new DevmemError(
      'ERR_DEVMEM_MEMORY_TOO_SMALL',
      `options.memory has ${size} bytes, but ${queues.length} queue(s) of ${printable(name)} with rings of ${entries} entries take ${ringBytes} bytes to fill, and what is being read comes on top. Allocate at least ${2 * ringBytes} bytes, bind fewer queues, or shrink the rings with 'ethtool -G ${shellWord(name)} rx N'`,
    );
  }
  return ringBytes;
}

async function requestBinding(
  netdev: NetdevNetlink,
  index: number,
  request: BindingRequest,
  fd: number,
): Promise<number> {
  const { interface: name, queues, rxPageSize } = request;
  if (!netdev.canBindRx) {
    throw systemError(-95, 'netdev bind-rx', {
      subject: 'this kernel cannot bind device memory',
      hint: "It needs Linux 6.12 or newer with CONFIG_NET_DEVMEM, or the patches that 'devmem-tcp kernel' names",
    });
  }
  if (rxPageSize !== undefined && !(await netdev.takesRxPageSize())) {
    throw systemError(-95, 'netdev bind-rx', {
      subject: `this kernel cannot bind with rx pages of a given size (${rxPageSize} bytes)`,
      hint: 'Leave options.rxPageSize out, or use Linux 7 or newer',
    });
  }
  const { id, errno, kernelMessage } = await netdev.bindRx(index, queues, fd, rxPageSize);
  if (errno === 0 && id !== undefined) return id;
  throw await explainBindError(netdev, {
    name,
    index,
    queues,
    rxPageSize,
    errno,
    kernelMessage,
  });
}
