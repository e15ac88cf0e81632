/** Having io_uring provide the memory of an rx queue: what bindRx() is by transport 'zcrx'. */
import { channel } from 'node:diagnostics_channel';
import { constants, release } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import { DevmemError, type SystemError, systemError } from '../../errors.js';
import { native, type ZcrxQueue } from '../../native.js';
import { zcrx } from '../../receive/transports/zcrx.js';
import { explainBindError } from '../bind-errors.js';
import { findNic } from '../devices.js';
import { type BindingRequest, checkRings, type KernelBinding } from '../kernel-binding.js';
import { NetdevNetlink } from '../netlink/netdev.js';
import { fillsMemoryOfRing, letGo } from '../unbinding.js';
import { ringError, tooLargeFor, zcrxAbilities } from './abilities.js';

const REGISTER = 'io_uring_register(ZCRX_IFQ)';
const { EINVAL, ENOMEM, EOPNOTSUPP } = constants.errno;

// The kernel gives the queue up on another thread, and has no event for it.
const RELEASE_POLL_MS = 10;
const RELEASE_PATIENCE_MS = 10_000;

/**
 * Published on the diagnostics channel `devmem-tcp:memory-dry`: the NIC found no memory to
 * receive into, and dropped packets. Once, until fragments were given back.
 */
export interface MemoryDryMessage {
  /** The binding's `id`. */
  bindingId: number;
  /** The kernel's own name for it. */
  interface: string;
  /** The receive queue whose memory it is. */
  queue: number;
}

const dryChannel = channel('devmem-tcp:memory-dry');

/**
 * Takes the queue, until unbind() or the end of this thread.
 *
 * @param fd - the dma-buf's; not needed after the call
 */
export async function bindZcrx(asked: BindingRequest, fd: number): Promise<KernelBinding> {
  const { name, index } = await findNic(asked.interface);
  const request = { ...asked, interface: name };
  const abilities = zcrxAbilities();
  checkSize(request, abilities.bufferSizes);
  const ringBytes = await checkRings(request);
  const number = request.queues[0]!;
  const id = zcrx.makeId();
  const queue = new (native().ZcrxQueue)(() => {
    if (!dryChannel.hasSubscribers) return;
    const message: MemoryDryMessage = { bindingId: id, interface: name, queue: number };
    dryChannel.publish(message);
  });
  try {
    openRing(queue);
    const { size, rxPageSize = 0 } = request;
    const status = queue.register(index, number, fd, size, rxPageSize, abilities.events);
    if (status < 0) throw await explainRegistration(request, index, status);
  } catch (error) {
    queue.close();
    throw error;
  }
  const unbind = async (): Promise<void> => {
    queue.close();
    // Whether it is so, is asked again below.
    await released(index, number).catch(() => {});
    const unbound = { interface: name, interfaceIndex: index, queues: [number], ringBytes };
    await letGo(unbound, fillsMemoryOfRing(index));
  };
  return { id, queue, interfaceIndex: index, ringBytes, unbind, onLost: () => {} };
}

function openRing(queue: ZcrxQueue): void {
  const status = queue.open();
  if (status < 0) throw ringError(status, 'io_uring_setup');
}

function checkSize({ size, rxPageSize }: BindingRequest, bufferSizes: boolean): void {
  const tooLarge = tooLargeFor(release(), size);
  if (tooLarge !== undefined) throw new DevmemError('ERR_DEVMEM_WRONG_MEMORY', tooLarge);
  if (rxPageSize === undefined || bufferSizes) return;
  throw systemError(-EOPNOTSUPP, REGISTER, {
    subject: `io_uring of this kernel has no buffers of a given size (${rxPageSize} bytes)`,
    hint: 'Leave options.rxPageSize out',
  });
}

async function explainRegistration(
  request: BindingRequest,
  index: number,
  errno: number,
): Promise<Error> {
  const { interface: name, queues, rxPageSize } = request;
  if (errno === -ENOMEM) return ringError(errno, REGISTER);
  using netdev = await NetdevNetlink.open();
  const of = { name, index, queues, rxPageSize, errno, kernelMessage: undefined };
  const error = await explainBindError(netdev, { ...of, syscall: REGISTER });
  const { hint } = error as SystemError;
  if (errno !== -EINVAL || hint !== undefined) return error;
  return systemError(errno, REGISTER, {
    subject: `${name}, queue ${queues.join(', ')}`,
    hint: 'The kernel does not say why: header split that is off, an XDP program, or a dma-buf that the NIC cannot map',
  });
}

/** Resolves once the NIC does not write to the memory any more. */
async function released(index: number, queue: number): Promise<void> {
  const deadline = Date.now() + RELEASE_PATIENCE_MS;
  using netdev = await NetdevNetlink.open();
  while (Date.now() < deadline) {
    // Without the interface there is no queue either.
    const queues = await netdev.rxQueues(index).catch(() => []);
    const taken = queues.some(({ id, otherUser }) => id === queue && otherUser === 'io_uring');
    if (!taken) return;
    await delay(RELEASE_POLL_MS);
  }
}
