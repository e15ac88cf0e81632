/**
 * What rewrites packets on their way and has to sum them up again, or verifies their sums:
 * connection tracking, NAT, rules of nftables, IPVS. Of payload in device memory nobody can,
 * and what cannot be summed up does not get through.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { ADDRESS, type Family, meetNeighbour, run, setParameter } from './support/guest.js';
import { has, mendedForReaders, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams } from './support/transfer.js';

const KiB = 2 ** 10;
const PEERS = fileURLToPath(new URL('support/other_protocols.py', import.meta.url));
const BALANCER = fileURLToPath(new URL('support/load_balancer.py', import.meta.url));
/** Where other_protocols.py sends, and where what it sent is sent on. */
const PORT = 4321;
const OTHER_PORT = 4322;
/** Bytes up to which the NIC leaves a payload whole. */
const SHORT = 64;
/** What it leaves of others beside the headers: SCTP's first chunk, what ICMP quotes of headers. */
const BESIDE = 32;
/** Times that a packet is sent: once the last is seen, the others are through, or gone. */
const TIMES = 3;
const ICMP_ERROR = 'icmp type destination-unreachable';

sayIfUnmended('firewalls that rewrite what is in device memory');

/** linux-6.1 lets pass with a wrong sum what later ones drop. */
const drops = !has('net_devmem_page_offset');

const bound = bindForEachTest([1]);

const undo: (() => void)[] = [];
beforeEach(async () => {
  await meetNeighbour('IPv4');
  await meetNeighbour('IPv6');
  undo.push(setParameter('copybreak', SHORT), setParameter('linear_bytes', BESIDE));
});
afterEach(async () => {
  const [received] = await receiveStreams(bound.binding, 'IPv4', 512 * KiB);
  expect(received).toMatchObject({ firstWrong: -1, bytes: 512 * KiB });
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
});

// Before the stream: vitest begins with the last.
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

/** Adds a table of nftables with one chain, for this test. */
function firewall(chain: string): void {
  run('nft', `table inet firewall { ${chain}; }`);
  undo.push(() => run('nft', 'delete', 'table', 'inet', 'firewall'));
}

/** Has IPVS send on what comes for PORT. */
function balance(protocol: 'sctp' | 'udp'): void {
  run('sh', '-c', 'modprobe -q ip_vs || true');
  run('python3', BALANCER, protocol, ADDRESS.IPv4, String(PORT), String(OTHER_PORT));
  undo.push(() => run('python3', BALANCER, 'flush'));
}

/** Packets that two chains count: one before all others, one behind them. */
function counts(): { seen: number; passed: number } {
  const told = run('nft', 'list', 'table', 'inet', 'watcher').matchAll(/packets (\d+)/g);
  const [seen, passed] = [...told].map(([, packets]) => Number(packets));
  return { seen: seen!, passed: passed! };
}

/**
 * How many of TIMES packets get through, which match `before` where they come, `behind`
 * where they leave.
 */
async function throughOf(
  kind: string,
  before: string,
  behind = before,
  family: Family = 'IPv4',
): Promise<number> {
  run(
    'nft',
    `table inet watcher {
      chain before { type filter hook prerouting priority -400; ${before} counter; }
      chain behind { type filter hook input priority 300; ${behind} counter; }
    }`,
  );
  try {
    for (let i = 0; i < TIMES; i++) run('peer', 'python3', PEERS, kind, ADDRESS[family]);
    while (counts().seen < TIMES) await delay(50);
    // The last one may be on its way.
    run('peer', 'python3', PEERS, kind, ADDRESS[family]);
    while (counts().seen < TIMES + 1) await delay(50);
    return Math.min(counts().passed, TIMES);
  } finally {
    run('nft', 'delete', 'table', 'inet', 'watcher');
  }
}

/** The same, of packets that the NIC leaves as they are, and of those that it splits. */
async function readableAndNot(
  ...what: Parameters<typeof throughOf>
): Promise<{ readable: number; unreadable: number }> {
  const readable = await throughOf(...what);
  undo.push(setParameter('split_all', 1));
  return { readable, unreadable: await throughOf(...what) };
}

describe.runIf(mendedForReaders)('what cannot be summed up does not get through', () => {
  it('connection tracking that verifies SCTP', async () => {
    firewall('chain input { type filter hook input priority 0; ct state invalid drop; }');
    expect(await readableAndNot('sctp', 'ip protocol sctp')).toEqual({
      readable: TIMES,
      unreadable: 0,
    });
  });

  it.each([
    ['SCTP', 'sctp', `sctp dport ${PORT}`, `sctp dport ${OTHER_PORT}`],
    ['errors of ICMP', 'icmp_error', ICMP_ERROR, ICMP_ERROR],
  ] as const)('NAT of %s', async (_, kind, before, behind) => {
    // Who verifies it need not read it.
    undo.push(setParameter('csum_complete', 1));
    const rule = `meta l4proto { sctp, udp } dnat ip to ${ADDRESS.IPv4}:${OTHER_PORT}`;
    firewall(`chain early { type nat hook prerouting priority dstnat; ${rule}; }`);
    expect(await readableAndNot(kind, before, behind)).toEqual({
      readable: TIMES,
      unreadable: drops ? 0 : TIMES,
    });
  });

  it('a rule that sets a port of SCTP', async () => {
    const rule = `sctp dport ${PORT} sctp dport set ${OTHER_PORT}`;
    firewall(`chain early { type filter hook prerouting priority 0; ${rule}; }`);
    const ports = [`sctp dport ${PORT}`, `sctp dport ${OTHER_PORT}`] as const;
    expect(await readableAndNot('sctp', ...ports)).toEqual({
      readable: TIMES,
      unreadable: drops ? 0 : TIMES,
    });
  });

  it('a rule that sets what lies in device memory', async () => {
    const rule = `tcp dport ${PORT} tcp window set 1000 accept; tcp dport ${PORT} drop`;
    firewall(`chain early { type filter hook prerouting priority 0; ${rule}; }`);
    const through = (): Promise<number> =>
      throughOf('knock', `meta l4proto tcp`, `tcp dport ${PORT}`, 'IPv6');
    expect(await through()).toBe(TIMES);
    // The window is beyond it.
    undo.push(setParameter('header_room', 64));
    expect(await through()).toBe(0);
  });

  it.each([
    ['SCTP', 'sctp', 'sctp', 'ip protocol sctp'],
    ['errors of ICMP', 'udp', 'icmp_error', ICMP_ERROR],
  ] as const)('IPVS, of %s', async (_, protocol, kind, match) => {
    undo.push(setParameter('csum_complete', 1));
    balance(protocol);
    expect(await readableAndNot(kind, match)).toEqual({
      readable: TIMES,
      unreadable: drops ? 0 : TIMES,
    });
  });
});
