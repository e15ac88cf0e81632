// @ts-check
/** What must be back where it was once everything is closed. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import { native } from '../../dist/native.js';
import { NetdevNetlink } from '../../dist/nic/netlink/netdev.js';
import { run } from './nic.mjs';

// A freed page pool lingers for about a second in the kernel's dump; there is no event for it.
const PATIENCE_MS = 20_000;
const POLL_MS = 200;

/** Open descriptors of this process by kind, such as `socket` or `anon_inode:[eventpoll]`. */
export function descriptors() {
  /** @type {Record<string, number>} */
  const kinds = {};
  for (const fd of readdirSync('/proc/self/fd')) {
    let target;
    try {
      target = readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      continue; // the one that readdir used
    }
    const kind = target.replace(/:\[\d+\]$/, '');
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  return kinds;
}

/**
 * @param {Record<string, number>} before
 * @returns {Promise<string | undefined>} what is more than before, for good
 */
export async function descriptorsLeft(before) {
  return eventually(async () => {
    const more = Object.entries(descriptors()).filter(([kind, n]) => n > (before[kind] ?? 0));
    if (more.length === 0) return undefined;
    return more.map(([kind, n]) => `${kind}: ${n} (${before[kind] ?? 0})`).join(', ');
  });
}

/**
 * @param {readonly number[]} bindingIds all closed
 * @returns {Promise<string | undefined>} page pools of theirs that the kernel cannot free
 */
export async function poolsLeft(bindingIds) {
  const ids = new Set(bindingIds);
  return eventually(async () => {
    await flushDeferredFrees();
    const netdev = await NetdevNetlink.open();
    try {
      const pools = await netdev.pagePools();
      // Of io_uring's the kernel does not say whose they are.
      const left = pools.filter(
        ({ dmabufId, otherUser }) =>
          otherUser !== undefined || (dmabufId !== undefined && ids.has(dmabufId)),
      );
      return left.length === 0 ? undefined : JSON.stringify(left);
    } finally {
      netdev.close();
    }
  });
}

/** Descriptors of the frag ring that are not released, and its slots. */
export function ring() {
  const [slots = 0, used = 0] = native().ringUsage();
  return { slots, used };
}

/**
 * @template {object} Closed
 * @param {readonly WeakRef<Closed>[]} closed
 * @param {number} most that may be left
 * @returns {Promise<WeakRef<Closed>[]>} those that are not garbage, for good where more than `most`
 */
export async function notCollected(closed, most) {
  /** @type {WeakRef<Closed>[]} */
  let left = [];
  await eventually(async () => {
    await collectGarbage();
    left = closed.filter((each) => each.deref() !== undefined);
    return left.length > most ? 'more' : undefined;
  });
  return left;
}

// Finalizers of native memory run between the rounds.
async function collectGarbage() {
  for (let round = 0; round < 4; round++) {
    globalThis.gc?.();
    await delay(10);
  }
}

/** Memory of this process and of the guest, in MiB. */
export function memoryUse() {
  const { rss, heapUsed, external } = process.memoryUsage();
  const system = readFileSync('/proc/meminfo', 'utf8');
  /** @param {string} name */
  const field = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(system)?.[1]) / 1024;
  const round = (/** @type {number} */ mib) => Math.round(mib * 10) / 10;
  return {
    rss: round(rss / 2 ** 20),
    heap: round(heapUsed / 2 ** 20),
    external: round(external / 2 ** 20),
    guestAvailable: round(field('MemAvailable')),
    kernelSlab: round(field('SUnreclaim')),
  };
}

/**
 * Sends a packet on each CPU. The kernel leaves packets that were read on another
 * CPU than they arrived on to the latter, which frees them when it next handles
 * a packet (net/core/skbuff.c skb_attempt_defer_free): on an idle machine, never.
 */
async function flushDeferredFrees() {
  for (let cpu = 0; cpu < availableParallelism(); cpu++) {
    // With a socket as its stdin, which Node.js gives it, bash would read ~/.bashrc.
    const bash = ['bash', '--norc', '-c', 'echo > /dev/udp/127.0.0.1/9'];
    await run('taskset', '-c', cpu, ...bash);
  }
}

/**
 * @param {() => Promise<string | undefined>} problem
 * @returns {Promise<string | undefined>} the problem, if it does not go away
 */
async function eventually(problem) {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await problem();
    if (found === undefined || performance.now() > deadline) return found;
    await delay(POLL_MS);
  }
}
