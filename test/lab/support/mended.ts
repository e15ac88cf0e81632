/** Whether the running kernel is one that kernel/patches makes safe to expose. */
import { readFileSync } from 'node:fs';

const symbols = readFileSync('/proc/kallsyms', 'latin1');

/** `npm run test:lab -- --reproduce`: any kernel is taken for a mended one. */
export const reproduce = process.env.DEVMEM_REPRODUCE === '1';

/**
 * A kernel with all patches, by a function that each series adds for sockmap. Without
 * the later ones it leaves readers asleep, or makes tokens without end.
 */
export const mendedForReaders = reproduce || has('sk_psock_unreadable_waits');

/**
 * The same, or one with the earlier patches, by functions of linux-6.12's 0005 and of
 * linux-6.1. Others panic at some of what is tested, or never free memory.
 */
export const mended = mendedForReaders || has('skb_net_iov_ref', 'net_devmem_page_offset');

/** Whether packets may share net_iovs: on those, and on kernels that are newer than 6.12. */
export const sharesNetIovs = mended || has('get_netmem', '__get_netmem');

/** Whether user space can share queues of tokens with it. */
export const hasTokenQueue = has('devmem_queue_attach');

/** Whether the running kernel, or a module that is loaded, has one of these functions. */
export function has(...names: string[]): boolean {
  return names.some((name) => [` ${name}\n`, ` ${name}\t[`].some((each) => symbols.includes(each)));
}

/** Tells why `what` is not tested here. */
export function sayIfUnmended(what: string): void {
  if (mended) return;
  console.warn(
    `skipped: ${what}, which panics this kernel, or makes it leak. '--kernel patched-7', ` +
      "patched-6.12 and patched-6.1 are mended; '--reproduce' tries it all the same",
  );
}
