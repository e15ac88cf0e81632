/** What the kernel counts beside the NIC's `ethtool -S`: by queue, of TCP, of a connection. */
import { readFileSync } from 'node:fs';

import { GenericNetlink } from '../../../dist/nic/netlink/generic.js';
import { INTERFACE, run } from './guest.js';

const NETDEV_CMD_QSTATS_GET = 12;
const NETDEV_A_QSTATS_IFINDEX = 1;
const NETDEV_A_QSTATS_QUEUE_TYPE = 2;
const NETDEV_A_QSTATS_QUEUE_ID = 3;
const NETDEV_A_QSTATS_SCOPE = 4;
const NETDEV_A_QSTATS_RX_ALLOC_FAIL = 12;
const NETDEV_QSTATS_SCOPE_QUEUE = 1;
const NETDEV_QUEUE_TYPE_RX = 0;

/**
 * `rx-alloc-fail` of an rx queue of the NIC, of the netlink family `netdev`. Undefined where
 * the kernel has no such statistics.
 */
export async function allocationFailures(queue: number): Promise<number | undefined> {
  using netdev = await GenericNetlink.open('netdev');
  if (!netdev.commands.has(NETDEV_CMD_QSTATS_GET)) return undefined;
  const index = Number(readFileSync(`/sys/class/net/${INTERFACE}/ifindex`, 'utf8'));
  const { messages } = await netdev.request(
    NETDEV_CMD_QSTATS_GET,
    [
      [NETDEV_A_QSTATS_IFINDEX, index],
      [NETDEV_A_QSTATS_SCOPE, NETDEV_QSTATS_SCOPE_QUEUE],
    ],
    true,
  );
  const ofQueue = messages.find(
    (each) =>
      each.number(NETDEV_A_QSTATS_QUEUE_TYPE) === NETDEV_QUEUE_TYPE_RX &&
      each.number(NETDEV_A_QSTATS_QUEUE_ID) === queue,
  );
  return ofQueue?.number(NETDEV_A_QSTATS_RX_ALLOC_FAIL);
}

/** A counter of the receiving namespace, of any protocol, by `nstat`'s name of it. */
export function counter(name: string): number {
  return counted(name, run('nstat', '-asz', name));
}

/** The same of the peer's namespace. */
export function peerCounter(name: string): number {
  return counted(name, run('peer', 'nstat', '-asz', name));
}

function counted(name: string, told: string): number {
  return Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(told)![1]);
}

/** Counters of TCP in the receiving namespace (`nstat`), added up. */
export function tcpCounters(...names: string[]): number {
  const [header, values] = readFileSync('/proc/net/netstat', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(' '));
  return names.reduce((sum, name) => {
    const at = header!.indexOf(name);
    if (at < 0) throw new Error(`TCP counts no '${name}'`);
    return sum + Number(values![at]);
  }, 0);
}

export interface ReceiveQueue {
  /** Bytes that nobody has read. */
  unread: number;
  /** Bytes that TCP charges the socket for them. */
  charged: number;
  /** Bytes that it may be charged, `SO_RCVBUF` as the kernel has it. */
  limit: number;
}

/** What TCP keeps for the connection with a peer's port (`ss -m`). */
export function receiveQueue(peerPort: number): ReceiveQueue {
  const line = run('ss', '-Htnm', 'dport', '=', `:${peerPort}`);
  const [, unread, charged, limit] = /^\S+ +(\d+).*skmem:\(r(\d+),rb(\d+)/s.exec(line)!;
  return { unread: Number(unread), charged: Number(charged), limit: Number(limit) };
}

/** How many times in a row the peer, at that port of its own, has heard nothing in time. */
export function peerTimeouts(peerPort: number): number {
  const line = run('peer', 'ss', '-Htni', 'sport', '=', `:${peerPort}`);
  return Number(/ backoff:(\d+)/.exec(line)?.[1] ?? 0);
}
