/**
 * Making sure that queues let go of the memory that was bound to them. To unbind a queue the
 * kernel gives it buffers of its own; where it has no memory for these, it leaves the queue as
 * it was, unreadable payload and all, and tells its log alone (net/core/netdev_rx_queue.c
 * __netif_mp_close_rxq; on 6.12 net/core/devmem.c net_devmem_unbind_dmabuf). With our patches it
 * tries again a second later. Other memory can be bound to such a queue, which makes it anew.
 */
import { setTimeout as delay } from 'node:timers/promises';

import { DevmemError } from '../errors.js';
import { DmaBuf } from '../memory/dma-buf.js';
import { failedWith } from './ioctl/call.js';
import { NetdevNetlink } from './netlink/netdev.js';
import { printable } from './quoting.js';

/** What was unbound. */
export interface Unbound {
  interface: string;
  interfaceIndex: number;
  queues: readonly number[];
  /** Memory that the receive rings keep filled, in bytes. */
  ringBytes: number;
}

/** Whether a queue still has what was bound, although that has ended. */
export type StillFilled = (netdev: NetdevNetlink) => Promise<boolean>;

const ATTEMPTS = 10;
const PAUSE_MS = 100;
const LEAST_BYTES = 2 ** 20;

/** What a call fails with that may be done later. */
const SHORTAGES = ['ENOMEM', 'ENOBUFS', 'EAGAIN', 'EMFILE', 'ENFILE'] as const;

/** The page pools of a binding that has ended are detached, each with its last page to come. */
export const fillsMemoryOf =
  (bindingId: number): StillFilled =>
  async (netdev) =>
    (await netdev.pagePools()).some((pool) => pool.dmabufId === bindingId && !pool.detached);

/** Of io_uring's the kernel does not say whose they are: there is one for each of its queues. */
export const fillsMemoryOfRing =
  (interfaceIndex: number): StillFilled =>
  async (netdev) => {
    const pools = (await netdev.pagePools()).filter(
      (pool) =>
        pool.interfaceIndex === interfaceIndex && pool.otherUser === 'io_uring' && !pool.detached,
    );
    if (pools.length === 0) return false;
    const queues = await netdev.rxQueues(interfaceIndex);
    return pools.length > queues.filter(({ otherUser }) => otherUser === 'io_uring').length;
  };

/**
 * Resolves once no queue has what was bound; at once, in all but the rarest cases.
 *
 * @throws DevmemError ERR_DEVMEM_STILL_BOUND where the kernel has no memory for the queues in
 *   the next second either
 */
export async function letGo(unbound: Unbound, stillFilled: StillFilled): Promise<void> {
  const conditions = [stillFilled];
  for (let attempt = 1; ; attempt++) {
    const filled = await some(conditions);
    if (filled === false) return;
    if (attempt === ATTEMPTS) {
      if (filled === undefined) return;
      throw stillBound(unbound);
    }
    if (attempt > 1) await delay(PAUSE_MS);
    if (filled) await displace(unbound, conditions).catch(() => {});
  }
}

/** Undefined where it cannot be told just now. */
async function some(conditions: readonly StillFilled[]): Promise<boolean | undefined> {
  try {
    using netdev = await NetdevNetlink.open();
    for (const condition of conditions) if (await condition(netdev)) return true;
    return false;
  } catch (error) {
    // Any other says that there is no such queue, or that the kernel does not tell.
    return failedWith(error, ...SHORTAGES) ? undefined : false;
  }
}

/**
 * Binds memory that nobody uses to each queue, and unbinds it.
 *
 * @param conditions - gets what has to be over then, too
 */
async function displace(
  { interfaceIndex, queues, ringBytes }: Unbound,
  conditions: StillFilled[],
): Promise<void> {
  const size = Math.max(2 * ringBytes, LEAST_BYTES);
  await using memory = await DmaBuf.allocate({ type: 'udmabuf', size });
  for (const queue of queues) {
    using netdev = await NetdevNetlink.open();
    // Refused where somebody has bound it meanwhile: it is made anew then.
    const { id } = await netdev.bindRx(interfaceIndex, [queue], memory.fd);
    if (id !== undefined) conditions.push(fillsMemoryOf(id));
  }
}

function stillBound({ interface: name, queues }: Unbound): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_STILL_BOUND',
    `${printable(name)}, queue ${queues.join(', ')}: the kernel has no memory to give the queue buffers of its own, and it goes on filling what was bound, which stays in use. Once there is some, bind other memory to the queue and close that binding`,
  );
}
