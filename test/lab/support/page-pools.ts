/** What the kernel itself counts as held: its page pools, by netlink. */
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import type { Binding } from 'devmem-tcp';

import { NetdevNetlink, type PagePool } from '../../../dist/nic/netlink/netdev.js';
import { run } from './guest.js';

const PATIENCE_MS = 10_000;

// Of io_uring the kernel does not say whose a pool is.
function isOf(pool: PagePool, bindingId: number | undefined): boolean {
  const bound = pool.dmabufId !== undefined || pool.otherUser !== undefined;
  return bindingId === undefined || pool.otherUser !== undefined
    ? bound
    : pool.dmabufId === bindingId;
}

async function poolsOf(bindingId?: number): Promise<PagePool[]> {
  using netdev = await NetdevNetlink.open();
  return (await netdev.pagePools()).filter((pool) => isOf(pool, bindingId));
}

/**
 * Sends a packet on each CPU. The kernel leaves packets that were read on another
 * CPU than they arrived on to the latter, which frees them when it next handles
 * a packet (net/core/skbuff.c skb_attempt_defer_free): on an idle machine, never.
 */
function flushDeferredFrees(): void {
  for (let cpu = 0; cpu < availableParallelism(); cpu++) {
    run('taskset', '-c', String(cpu), 'bash', '-c', 'echo > /dev/udp/127.0.0.1/9');
  }
}

/**
 * How many page pools of a closed binding, or of all where none is named, the kernel
 * cannot free: a pool stays in the dump for as long as a single fragment of it is held
 * by anyone. A freed pool lingers for about a second, for which there is no event; hence
 * the patience.
 */
export function poolsLeft(bindingId?: number): Promise<number> {
  return poolsBeyond(0, bindingId);
}

/** The same, but for so many that have a right to be there. */
async function poolsBeyond(others: number, bindingId?: number): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  let left = (await poolsOf(bindingId)).length;
  while (left > others && Date.now() < deadline) {
    flushDeferredFrees();
    await delay(100);
    left = (await poolsOf(bindingId)).length;
  }
  return left - others;
}

/**
 * Closes a binding and returns how many of its page pools are left. (Of a pool in use
 * the kernel's count includes what it keeps for reuse, so it proves nothing.)
 */
export async function poolsLeftAfterClose(binding: Binding): Promise<number> {
  // Those of before a restart of the queue may linger as well, detached.
  const inUse = (await poolsOf(binding.id)).filter((pool) => !pool.detached).length;
  const others = inUse - binding.queues.length;
  if (others < 0 || (others > 0 && binding.transport !== 'zcrx')) {
    throw new Error(`${binding.queues.length} queues bound, but ${inUse} page pools in use`);
  }
  await binding.close();
  return poolsBeyond(others, binding.id);
}
