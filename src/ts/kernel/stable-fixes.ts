/** Which fixes of the receive path the stable releases of Linux 6.12 brought. */
import { parseVersion, stableNumber } from '../kernel-version.js';

export interface Fix {
  /** The stable release of 6.12 that has it first. */
  stable: number;
  /** The kernel's commit. */
  commit: string;
  /** What happens without it. */
  without: string;
}

/** From the changelogs of 6.12.1 to 6.12.117; docs/kernels.md has the same as a table. */
export const FIXES: readonly Fix[] = [
  {
    stable: 7,
    commit: 'udmabuf: fix racy memfd sealing check',
    without: "a memfd's seals may change while a udmabuf is made of it",
  },
  {
    stable: 11,
    commit: 'net: make page_pool_ref_netmem work with net iovs',
    without: 'a driver that shares a buffer between packets takes device memory for a page',
  },
  {
    stable: 18,
    commit: "tcp: devmem: don't write truncated dmabuf CMSGs to userspace",
    without: 'a record may be cut short where the control buffer ends, its fragment not taken',
  },
  {
    stable: 20,
    commit: 'netmem: prevent TX of unreadable skbs',
    without: 'a forwarded or mirrored packet is sent as if its payload were pages',
  },
  {
    stable: 35,
    commit: 'net: netmem: fix skb_ensure_writable with unreadable skbs',
    without: 'firewalls that change headers (NAT, DSCP) fail at packets with device memory',
  },
  {
    stable: 43,
    commit: 'netmem: fix skb_frag_address_safe with unreadable skbs',
    without: 'who asks for the address of payload gets one of no page',
  },
  {
    stable: 57,
    commit: 'udmabuf: fix a buf size overflow issue during udmabuf creation',
    without: 'the size of a large udmabuf overflows',
  },
  {
    stable: 58,
    commit: 'net: devmem: expose tcp_recvmsg_locked errors',
    without: 'whatever keeps recvmsg() from delivering is told as EFAULT',
  },
  {
    stable: 91,
    commit: 'page_pool: fix memory-provider leak in page_pool_create_percpu() error',
    without: 'a binding that fails at a queue may never be freed',
  },
  {
    stable: 93,
    commit: 'net: Avoid checksumming unreadable skb tail on trim',
    without: 'padding behind payload makes the kernel warn, a crash with panic_on_warn',
  },
  {
    stable: 96,
    commit: 'netfilter: handle unreadable frags',
    without: 'NFQUEUE and NFLOG copy payload that cannot be read',
  },
  {
    stable: 101,
    commit: 'udmabuf: Ensure to perform cache synchronisation in begin_cpu_udmabuf()',
    without: 'a CPU whose caches do not follow DMA may read stale bytes of a udmabuf',
  },
  {
    stable: 110,
    commit: 'net: core: check skb_frags_readable before uncloning in skb_copy_ubufs',
    without: 'a packet whose payload is to be copied on its way has device memory read as pages',
  },
  {
    stable: 112,
    commit: 'page_pool: disable sync for cpu for dmabuf memory provider',
    without: 'a driver that syncs buffers for the CPU does so with those of a dma-buf',
  },
  {
    stable: 113,
    commit: 'tcp: reject net_iov in zerocopy receive mapping hints',
    without: 'a program that maps received payload (TCP_ZEROCOPY_RECEIVE) has it taken for pages',
  },
  {
    stable: 115,
    commit: 'page_pool: keep frag_offset aligned for odd-sized requests',
    without: 'a driver that cuts buffers into odd sizes places packets at odd addresses',
  },
];

/** The least stable release of 6.12 that has all of them. */
export const LEAST_STABLE = Math.max(...FIXES.map(({ stable }) => stable));

/**
 * Those that a release lacks. Undefined where nobody can tell: the list is of 6.12 alone,
 * and a distribution that mends a kernel of its own does not say so in its number.
 */
export function missingFixes(release: string | undefined): readonly Fix[] | undefined {
  const version = parseVersion(release);
  if (version?.major !== 6 || version.minor !== 12) return undefined;
  const stable = stableNumber(release);
  return stable === undefined ? undefined : FIXES.filter((fix) => fix.stable > stable);
}
