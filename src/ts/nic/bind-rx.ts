/** Binding memory to receive queues, by the transport that this machine has. */
import { throwIfAborted } from '../abort.js';
import { DevmemError } from '../errors.js';
import { Binding, type KernelSide } from '../receive/binding.js';
import { MemoryPool } from '../receive/pool.js';
import type { TokenQueue } from '../native.js';
import { cmsg } from '../receive/transports/cmsg.js';
import { copy } from '../receive/transports/copy.js';
import { queue as queueTransport } from '../receive/transports/queue.js';
import type { Transport } from '../receive/transports/transport.js';
import { zcrx } from '../receive/transports/zcrx.js';
import { type BindRxOptions, type CheckedOptions, checkOptions, PAGE } from './bind-options.js';
import { bindByBroker } from './broker/client.js';
import { findNic } from './devices.js';
import { allowsCopying, tellFallback } from './fallback.js';
import { type BindingRequest, bindQueues, type KernelBinding } from './kernel-binding.js';
import { watchLink } from './link-monitor.js';
import { checkCopyMemory, checkDevmemMemory } from './memory-checks.js';
import { NetdevNetlink } from './netlink/netdev.js';
import { threadQueue, threadQueueIfAny } from './queue/thread-queue.js';
import { bindZcrx } from './zcrx/binding.js';

/**
 * Binds memory to receive queues: from then on the NIC puts TCP payload of those
 * queues into it. Closing the binding undoes that; so does the end of the process.
 *
 * The devmem path needs CAP_NET_ADMIN (or a broker that has it), header split on
 * (`tcp-data-split`, `hds-thresh 0`), a driver with queue management and a kernel with
 * CONFIG_NET_DEVMEM (net/core/devmem.c).
 *
 * With `transport: 'zcrx'` io_uring provides the queue's memory in place of that path, and
 * the kernel needs CONFIG_IO_URING_ZCRX (io_uring/zcrx.c) instead: docs/zcrx.md.
 *
 * @throws TypeError, RangeError for unusable arguments, whatever the mode
 * @throws DevmemError ERR_DEVMEM_MEMORY_IN_USE, whatever the mode, while another
 *   binding, or anything received through one, uses the memory
 * @throws SystemError ENODEV (no such interface) and ERANGE (no such queue), unless the
 *   mode is 'copy'; in mode 'devmem' EPERM, EEXIST (queue bound, XDP attached), EBUSY
 *   (AF_XDP), ENOTSUP (no NIC, its driver, rxPageSize), ENODATA or EINVAL (header
 *   split off), ENOENT (kernel); with transport 'zcrx' EPERM and ENOSYS (io_uring disabled or
 *   filtered), ENOMEM (locked memory), ENOTSUP (kernel); with transport 'queue'
 *   ENOPROTOOPT, ENOTSUP (kernel), EPERM and ENOSYS (filtered); ENOENT, ECONNREFUSED or EACCES of connect(2) to the broker
 * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY; in mode 'devmem'
 *   ERR_DEVMEM_MEMORY_TOO_SMALL, ERR_DEVMEM_BROKER_REFUSED, ERR_DEVMEM_BROKER_LOST, ERR_DEVMEM_BAD_MESSAGE;
 *   ERR_DEVMEM_STILL_BOUND where binding was given up and cannot be undone: Binding.close()
 * @throws the signal's reason
 */
export async function bindRx(options: BindRxOptions): Promise<Binding> {
  const checked = checkOptions(options);
  throwIfAborted(checked.signal);
  const pool = MemoryPool.reserve(checked.memory);
  try {
    return await bindPool(pool, checked);
  } catch (error) {
    // Of memory that the NIC goes on filling nobody else may be the owner.
    const filled = error instanceof DevmemError && error.code === 'ERR_DEVMEM_STILL_BOUND';
    if (!filled) pool.unbind();
    throw error;
  }
}

async function bindPool(pool: MemoryPool, checked: CheckedOptions): Promise<Binding> {
  if (checked.mode === 'copy') return bindCopy(pool, checked, undefined);
  try {
    return await bindDevmem(pool, checked);
  } catch (error) {
    throwIfAborted(checked.signal);
    if (checked.mode === 'devmem' || !allowsCopying(error)) throw error;
    const binding = bindCopy(pool, checked, error);
    tellFallback({ interface: checked.interface, reason: error });
    return binding;
  }
}

function bindCopy(pool: MemoryPool, checked: CheckedOptions, fallback: Error | undefined): Binding {
  checkCopyMemory(checked.memory, fallback);
  return Binding.make({
    transport: copy,
    pool,
    id: copy.makeId(),
    interface: checked.interface,
    queues: [],
    heldLimit: checked.heldLimit ?? checked.memory.size,
    stallWarningMs: checked.stallWarningMs,
    ringBytes: 0,
    fallback,
  });
}

async function bindDevmem(pool: MemoryPool, checked: CheckedOptions): Promise<Binding> {
  const { memory, queues, interface: asked, rxPageSize, signal } = checked;
  if (asked === undefined || queues.length === 0) throw leftOut(asked, queues);
  const { name, index } = await findNic(asked);
  await checkDevmemMemory(name, memory);
  const request = { interface: name, queues, size: memory.size, rxPageSize };
  const tokenQueue = tokenQueueFor(checked);
  let binding: Binding | undefined;
  const unwatch = await watchLink(index, name, (change) => {
    binding?.interfaceChanged(change);
  });
  let kernel: KernelBinding | undefined;
  try {
    kernel = await bindKernel(checked, request);
    // From here on fragments come. Whoever gives the binding to sockets at once must not
    // be late, so that nothing is waited for any more.
    throwIfAborted(signal);
    binding = bindingOf(pool, checked, name, { kernel, tokenQueue }, unwatch);
    return binding;
  } catch (error) {
    unwatch();
    await kernel?.unbind();
    throw error;
  }
}

/** What mode `auto` copies for where the caller did not say what to bind to. */
function leftOut(asked: string | undefined, queues: readonly number[]): DevmemError {
  const names = [
    ...(asked === undefined ? ['options.interface'] : []),
    ...(queues.length === 0 ? ['options.queues'] : []),
  ];
  return new DevmemError(
    'ERR_DEVMEM_NO_QUEUES',
    `${names.join(' and ')} ${names.length === 1 ? 'was' : 'were'} left out, and without both mode 'auto' copies: memory is bound to receive queues of an interface. Give both, or ask for mode 'copy'`,
  );
}

/** Whoever insists on it is told why it is not to be had. */
function tokenQueueFor({ transport }: CheckedOptions): TokenQueue | undefined {
  if (transport === 'queue') return threadQueue();
  return transport === 'auto' ? threadQueueIfAny() : undefined;
}

function bindKernel(checked: CheckedOptions, request: BindingRequest): Promise<KernelBinding> {
  const { transport, memory, broker, signal } = checked;
  if (transport === 'zcrx') return bindZcrx(request, memory.fd);
  if (broker !== undefined) return bindByBroker(broker, request, memory.fd, signal);
  return bindQueues(request, memory.fd);
}

/** The object for what the kernel has bound. */
function bindingOf(
  pool: MemoryPool,
  checked: CheckedOptions,
  name: string,
  { kernel, tokenQueue }: { kernel: KernelBinding; tokenQueue: TokenQueue | undefined },
  unwatch: () => void,
): Binding {
  const { memory, queues, rxPageSize, heldLimit, stallWarningMs } = checked;
  const page = rxPageSize ?? PAGE;
  const binding = Binding.make({
    transport: transportOf(kernel, tokenQueue),
    pool,
    id: kernel.id,
    queue: kernel.queue ?? tokenQueue,
    interface: name,
    queues,
    rxPageSize: page,
    heldLimit: heldLimit ?? Math.floor(memory.size / 2 / page) * page,
    stallWarningMs,
    ringBytes: kernel.ringBytes,
    kernel: kernelSide(kernel, queues, unwatch),
  });
  kernel.onLost((reason) => {
    binding.lose(reason);
  });
  return binding;
}

function transportOf({ queue }: KernelBinding, tokenQueue: TokenQueue | undefined): Transport {
  if (queue !== undefined) return zcrx;
  return tokenQueue === undefined ? cmsg : queueTransport;
}

function kernelSide(
  kernel: KernelBinding,
  queues: readonly number[],
  unwatch: () => void,
): KernelSide {
  const { interfaceIndex, id } = kernel;
  const byRing = kernel.queue !== undefined;
  return {
    interfaceIndex,
    async rxQueues() {
      using netdev = await NetdevNetlink.open();
      const all = await netdev.rxQueues(interfaceIndex);
      return all.filter((queue) =>
        byRing
          ? queue.otherUser === 'io_uring' && queues.includes(queue.id)
          : queue.dmabufId === id,
      );
    },
    async pagePools() {
      using netdev = await NetdevNetlink.open();
      const all = await netdev.pagePools();
      return all.filter((pool) =>
        byRing
          ? pool.otherUser === 'io_uring' && pool.interfaceIndex === interfaceIndex
          : pool.dmabufId === id,
      );
    },
    unbind() {
      unwatch();
      return kernel.unbind();
    },
  };
}
