/** What the kernel has bound, by its own dumps. */
import { errorText } from '../error-text.js';
import { listLinks } from '../../nic/netlink/link.js';
import { NetdevNetlink } from '../../nic/netlink/netdev.js';

/** A queue whose memory is not the kernel's own. */
export interface BoundQueue {
  interface: string;
  queue: number;
  /** `dma-buf 3`, `io_uring`, `AF_XDP`. */
  user: string;
}

/** A page pool that hands out memory of a binding or of io_uring, or waits for its end. */
export interface BoundPool {
  id: number;
  /** Null where it has none any more. */
  interface: string | null;
  /** As of a queue; null: the kernel's own memory. */
  user: string | null;
  /** Pages that are out. */
  inFlight: number;
  /** Its queue is gone, and it waits for the last page. */
  detached: boolean;
}

export interface KernelState {
  queues: BoundQueue[];
  /** Rx queues that nobody has bound. */
  freeQueues: number;
  pools: BoundPool[];
  /** Page pools of the kernel's own memory. */
  ordinaryPools: number;
}

/** What it has, or why it does not tell. */
export type KernelView = KernelState | { reason: string };

/** Needs no privilege. Never rejects. */
export async function readKernel(): Promise<KernelView> {
  try {
    using netdev = await NetdevNetlink.open();
    const names = new Map((await listLinks()).map(({ index, name }) => [index, name]));
    const name = (index: number): string => names.get(index) ?? `number ${index}`;
    const queues = await netdev.allRxQueues();
    const pools = await netdev.pagePools();
    const bound = queues.flatMap((queue): BoundQueue[] => {
      const user = userOf(queue);
      if (user === undefined) return [];
      return [{ interface: name(queue.interfaceIndex), queue: queue.id, user }];
    });
    const special = pools.filter((pool) => userOf(pool) !== undefined || pool.detached);
    return {
      queues: bound,
      freeQueues: queues.length - bound.length,
      pools: special.map(({ id, interfaceIndex, inflight, detached, ...pool }) => ({
        id,
        interface: interfaceIndex === undefined ? null : name(interfaceIndex),
        user: userOf(pool) ?? null,
        inFlight: inflight,
        detached,
      })),
      ordinaryPools: pools.length - special.length,
    };
  } catch (error) {
    return { reason: errorText(error) };
  }
}

function userOf(of: { dmabufId: number | undefined; otherUser: string | undefined }) {
  return of.dmabufId === undefined ? of.otherUser : `dma-buf ${of.dmabufId}`;
}
