/** Whether the running kernel is one that kernel/patches makes safe to expose. */
import { readFileSync } from 'node:fs';

const symbols = readFileSync('/proc/kallsyms', 'latin1');

/**
 * The last patches of linux-6.12, by a function that 0005 adds, or the receive path of
 * linux-6.1, which has all of it. A kernel without them panics at some of what is tested,
 * or never frees memory.
 */
export const mended = has('skb_net_iov_ref', 'net_devmem_page_offset');

/** Whether packets may share net_iovs: on those, and on kernels that are newer than 6.12. */
export const sharesNetIovs = mended || has('get_netmem', '__get_netmem');

function has(...names: string[]): boolean {
  return names.some((name) => symbols.includes(` ${name}\n`));
}

/** Tells why `what` is not tested here. */
export function sayIfUnmended(what: string): void {
  if (mended) return;
  const kernels = "'--kernel patched-6.12' and '--kernel patched-6.1'";
  console.warn(
    `skipped: ${what}, which panics this kernel, or makes it leak. ${kernels} are mended`,
  );
}
