/**
 * The generic netlink family "netdev": binding memory to receive queues, and what
 * queues and page pools there are. Source: include/uapi/linux/netdev.h,
 * Documentation/netlink/specs/netdev.yaml.
 */
import { constants } from 'node:os';

import { GenericNetlink } from './generic.js';
import type { PagePool, RxQueue } from '../../receive/binding.js';
import { systemError } from '../../errors.js';
import type { Answer, Attribute, Attributes } from './message.js';

export type { PagePool, RxQueue };

const { ENODEV } = constants.errno;

/** An rx queue of some interface. */
export interface InterfaceRxQueue extends RxQueue {
  interfaceIndex: number;
}

const NETDEV_CMD_PAGE_POOL_GET = 5;
const NETDEV_CMD_QUEUE_GET = 10;
const NETDEV_CMD_BIND_RX = 13;

const NETDEV_A_DMABUF_IFINDEX = 1;
const NETDEV_A_DMABUF_QUEUES = 2;
const NETDEV_A_DMABUF_FD = 3;
const NETDEV_A_DMABUF_ID = 4;
const NETDEV_A_DMABUF_RX_PAGE_SIZE = 5;

const NETDEV_A_QUEUE_ID = 1;
const NETDEV_A_QUEUE_IFINDEX = 2;
const NETDEV_A_QUEUE_TYPE = 3;
const NETDEV_A_QUEUE_NAPI_ID = 4;
const NETDEV_A_QUEUE_DMABUF = 5;
const NETDEV_A_QUEUE_IO_URING = 6;
const NETDEV_A_QUEUE_XSK = 7;
const NETDEV_QUEUE_TYPE_RX = 0;

const NETDEV_A_PAGE_POOL_ID = 1;
const NETDEV_A_PAGE_POOL_IFINDEX = 2;
const NETDEV_A_PAGE_POOL_INFLIGHT = 4;
const NETDEV_A_PAGE_POOL_DETACH_TIME = 6;
const NETDEV_A_PAGE_POOL_DMABUF = 7;
const NETDEV_A_PAGE_POOL_IO_URING = 8;

const NO_FAMILY_HINT =
  "Binding needs Linux 6.12 or newer (CONFIG_NET_DEVMEM), or a kernel with the patches that 'devmem-tcp kernel' names";

/** An open socket to the family. A binding lives for as long as the socket that made it. */
export class NetdevNetlink implements Disposable {
  readonly #netlink: GenericNetlink;

  private constructor(netlink: GenericNetlink) {
    this.#netlink = netlink;
  }

  /** @throws SystemError ENOENT where the kernel has no such family */
  static async open(): Promise<NetdevNetlink> {
    return new NetdevNetlink(await GenericNetlink.open('netdev', NO_FAMILY_HINT));
  }

  /** Whether this kernel can bind device memory for receiving. */
  get canBindRx(): boolean {
    return this.#netlink.commands.has(NETDEV_CMD_BIND_RX);
  }

  /** Whether this kernel can bind with rx pages of a given size. */
  takesRxPageSize(): Promise<boolean> {
    return this.#netlink.takes(NETDEV_CMD_BIND_RX, NETDEV_A_DMABUF_RX_PAGE_SIZE);
  }

  /**
   * Asks for a binding. The answer's id, or its refusal.
   *
   * @param rxPageSize - bytes; undefined: the kernel's default
   */
  async bindRx(
    interfaceIndex: number,
    queues: readonly number[],
    fd: number,
    rxPageSize?: number,
  ): Promise<Answer & { id: number | undefined }> {
    const pageSize: Attribute[] =
      rxPageSize === undefined ? [] : [[NETDEV_A_DMABUF_RX_PAGE_SIZE, rxPageSize]];
    const answer = await this.#netlink.request(NETDEV_CMD_BIND_RX, [
      [NETDEV_A_DMABUF_IFINDEX, interfaceIndex],
      [NETDEV_A_DMABUF_FD, fd],
      ...pageSize,
      ...queues.map(
        (queue) =>
          [
            NETDEV_A_DMABUF_QUEUES,
            [
              [NETDEV_A_QUEUE_ID, queue],
              [NETDEV_A_QUEUE_TYPE, NETDEV_QUEUE_TYPE_RX],
            ],
          ] as const,
      ),
    ]);
    return { ...answer, id: answer.messages[0]?.number(NETDEV_A_DMABUF_ID) };
  }

  /**
   * The interface's rx queues. Empty where it is down or gone, or its driver does not list
   * them.
   *
   * @throws SystemError where the kernel refuses to tell
   */
  async rxQueues(interfaceIndex: number): Promise<RxQueue[]> {
    const of: Attribute[] = [[NETDEV_A_QUEUE_IFINDEX, interfaceIndex]];
    const messages = await this.#dump(NETDEV_CMD_QUEUE_GET, 'netdev queue-get', of, [-ENODEV]);
    return messages.filter(isRx).map(rxQueue);
  }

  /**
   * The rx queues of all interfaces of this network namespace that list them.
   *
   * @throws SystemError where the kernel refuses to tell
   */
  async allRxQueues(): Promise<InterfaceRxQueue[]> {
    const messages = await this.#dump(NETDEV_CMD_QUEUE_GET, 'netdev queue-get');
    return messages.filter(isRx).map((each) => ({
      ...rxQueue(each),
      interfaceIndex: each.number(NETDEV_A_QUEUE_IFINDEX) ?? 0,
    }));
  }

  /**
   * All page pools of this network namespace's interfaces.
   *
   * @throws SystemError where the kernel refuses to tell
   */
  async pagePools(): Promise<PagePool[]> {
    const messages = await this.#dump(NETDEV_CMD_PAGE_POOL_GET, 'netdev page-pool-get');
    return messages.map((each) => ({
      id: each.number(NETDEV_A_PAGE_POOL_ID) ?? 0,
      interfaceIndex: each.number(NETDEV_A_PAGE_POOL_IFINDEX),
      inflight: each.number(NETDEV_A_PAGE_POOL_INFLIGHT) ?? 0,
      dmabufId: each.number(NETDEV_A_PAGE_POOL_DMABUF),
      otherUser: each.has(NETDEV_A_PAGE_POOL_IO_URING) ? 'io_uring' : undefined,
      detached: each.has(NETDEV_A_PAGE_POOL_DETACH_TIME),
    }));
  }

  close(): void {
    this.#netlink.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * @param none - negative errnos that mean: there is nothing of the kind
   * @throws SystemError for any other refusal
   */
  async #dump(
    command: number,
    syscall: string,
    of: readonly Attribute[] = [],
    none: readonly number[] = [],
  ): Promise<Attributes[]> {
    const { messages, errno, kernelMessage } = await this.#netlink.request(command, of, true);
    if (errno < 0 && !none.includes(errno)) throw systemError(errno, syscall, { kernelMessage });
    return messages;
  }
}

function isRx(queue: Attributes): boolean {
  return queue.number(NETDEV_A_QUEUE_TYPE) === NETDEV_QUEUE_TYPE_RX;
}

function rxQueue(queue: Attributes): RxQueue {
  return {
    id: queue.number(NETDEV_A_QUEUE_ID) ?? 0,
    napiId: queue.number(NETDEV_A_QUEUE_NAPI_ID),
    dmabufId:
      queue.nested(NETDEV_A_QUEUE_DMABUF)?.number(NETDEV_A_DMABUF_ID) ??
      queue.number(NETDEV_A_QUEUE_DMABUF),
    otherUser: queue.has(NETDEV_A_QUEUE_IO_URING)
      ? 'io_uring'
      : queue.has(NETDEV_A_QUEUE_XSK)
        ? 'AF_XDP'
        : undefined,
  };
}
