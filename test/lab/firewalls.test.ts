/**
 * What rewrites packets on their way and has to sum them up again, or verifies their sums:
 * connection tracking, NAT, rules of nftables, IPVS. Of payload in device memory nobody can:
 * what would need it is left as it is, or dropped.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { peerCounter } from './support/counters.js';
import {
  ADDRESS,
  type Family,
  meetNeighbour,
  run,
  setParameter,
  statistic,
} from './support/guest.js';
import { has, mendedForReaders, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams } from './support/transfer.js';

const KiB = 2 ** 10;
const PEERS = fileURLToPath(new URL('support/other_protocols.py', import.meta.url));
const BALANCER = fileURLToPath(new URL('support/load_balancer.py', import.meta.url));
/** Where other_protocols.py sends, and where what it sent is sent on. */
const PORT = 4321;
const OTHER_PORT = 4322;
/** Bytes up to which the NIC leaves a payload whole: none of what is sent, or all. */
const SHORT = 64;
const LONG = 2048;
/** What it leaves of others beside the headers: SCTP's first chunk, what ICMP quotes of headers. */
const BESIDE = 32;
/** Times that a packet is sent: once the last is seen, the others are through, or gone. */
const TIMES = 3;

/** Packets, and what NAT makes of them: the last, of the datagram that an error is about. */
const SCTP = 'ip protocol sctp';
const SCTP_SENT_ON = `sctp dport ${OTHER_PORT}`;
const ICMP_ERROR = 'icmp type destination-unreachable';
const ICMP_ERROR_SENT_ON = `${ICMP_ERROR} @th,224,16 ${OTHER_PORT}`;

sayIfUnmended('firewalls that rewrite what is in device memory');

/** linux-6.1 rewrites such packets, whose sum is wrong then; nothing sends them on, or reads them. */
const drops = !has('net_devmem_page_offset');

const bound = bindForEachTest([1]);

const undo: (() => void)[] = [];
beforeEach(async () => {
  await meetNeighbour('IPv4');
  await meetNeighbour('IPv6');
  undo.push(setParameter('split_all', 1), setParameter('linear_bytes', BESIDE));
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
  // It takes two steps, of which the second may fail.
  undo.push(() => run('python3', BALANCER, 'flush'));
  run('python3', BALANCER, protocol, ADDRESS.IPv4, String(PORT), String(OTHER_PORT));
}

interface Passed {
  /** Packets that got through, of TIMES. */
  through: number;
  /** Those among them that were rewritten. */
  rewritten: number;
}

const ALL: Passed = { through: TIMES, rewritten: TIMES };
const AS_THEY_WERE: Passed = { through: TIMES, rewritten: 0 };
const NONE: Passed = { through: 0, rewritten: 0 };

interface Sent {
  /** Of other_protocols.py. */
  kind: string;
  family?: Family;
  /** What a packet matches, rewritten or not. */
  match: string;
  /** What one that was rewritten matches. */
  rewritten?: string;
}

/** Packets that chains count: one before all others, one behind them. */
function counts(): [seen: number, through: number, rewritten: number] {
  const told = run('nft', 'list', 'table', 'inet', 'watcher').matchAll(/packets (\d+)/g);
  const [seen, through, rewritten = 0] = [...told].map(([, packets]) => Number(packets));
  return [seen!, through!, rewritten];
}

/** What gets through of TIMES packets. */
async function send({ kind, family = 'IPv4', match, rewritten }: Sent): Promise<Passed> {
  const behind = [match, ...(rewritten === undefined ? [] : [rewritten])];
  run(
    'nft',
    `table inet watcher {
      chain before { type filter hook prerouting priority -400; ${match} counter; }
      chain behind { type filter hook input priority 300; ${behind.join(' counter; ')} counter; }
    }`,
  );
  try {
    // The last one may be on its way when it is seen; those before it are through, or gone.
    for (let i = 0; i <= TIMES; i++) run('peer', 'python3', PEERS, kind, ADDRESS[family]);
    while (counts()[0] <= TIMES) await delay(50);
    const [, ...passed] = counts();
    const [through, changed] = passed.map((packets) => Math.min(packets, TIMES));
    return { through: through!, rewritten: changed! };
  } finally {
    run('nft', 'delete', 'table', 'inet', 'watcher');
  }
}

/** The same of packets that the NIC leaves whole, and of those that it splits. */
async function readableAndNot(sent: Sent): Promise<{ readable: Passed; unreadable: Passed }> {
  const before = statistic('rx_device_frags');
  undo.push(setParameter('copybreak', LONG));
  const readable = await send(sent);
  expect(statistic('rx_device_frags')).toBe(before);
  undo.push(setParameter('copybreak', SHORT));
  const unreadable = await send(sent);
  expect(statistic('rx_device_frags')).toBeGreaterThan(before + TIMES);
  return { readable, unreadable };
}

/** The same where the NIC has summed up all packets, so that nobody has to read them to verify them. */
async function summedReadableAndNot(sent: Sent): ReturnType<typeof readableAndNot> {
  const before = statistic('rx_csum_complete');
  undo.push(setParameter('csum_complete', 1));
  const passed = await readableAndNot(sent);
  expect(statistic('rx_csum_complete')).toBeGreaterThan(before + 2 * TIMES);
  return passed;
}

const SCTP_PACKETS = { kind: 'sctp', match: SCTP, rewritten: SCTP_SENT_ON };
const ICMP_ERRORS = { kind: 'icmp_error', match: ICMP_ERROR, rewritten: ICMP_ERROR_SENT_ON };

describe.runIf(mendedForReaders)('what cannot be summed up', () => {
  it('conntrack takes for invalid, of SCTP', async () => {
    firewall('chain input { type filter hook input priority 0; ct state invalid drop; }');
    expect(await readableAndNot({ kind: 'sctp', match: SCTP })).toEqual({
      readable: AS_THEY_WERE,
      unreadable: NONE,
    });
  });

  it.each([
    ['SCTP', SCTP_PACKETS],
    ['errors of ICMP', ICMP_ERRORS],
  ])('NAT drops, of %s', async (_, packets) => {
    const rule = `meta l4proto { sctp, udp } dnat ip to ${ADDRESS.IPv4}:${OTHER_PORT}`;
    firewall(`chain early { type nat hook prerouting priority dstnat; ${rule}; }`);
    expect(await summedReadableAndNot(packets)).toEqual({
      readable: ALL,
      unreadable: drops ? NONE : ALL,
    });
  });

  it('NAT lets pass what it does not translate', async () => {
    const rule = `meta l4proto sctp dnat ip to ${ADDRESS.IPv4}:${OTHER_PORT}`;
    firewall(`chain early { type nat hook prerouting priority dstnat; ${rule}; }`);
    expect(await summedReadableAndNot(ICMP_ERRORS)).toEqual({
      readable: AS_THEY_WERE,
      unreadable: AS_THEY_WERE,
    });
  });

  it('a rule leaves as it is, of SCTP', async () => {
    const rule = `sctp dport ${PORT} sctp dport set ${OTHER_PORT}`;
    firewall(`chain early { type filter hook prerouting priority 0; ${rule}; }`);
    expect(await readableAndNot(SCTP_PACKETS)).toEqual({
      readable: ALL,
      unreadable: drops ? AS_THEY_WERE : ALL,
    });
  });

  it('a rule leaves as it is, where headers lie in device memory', async () => {
    const rule = `tcp dport ${PORT} tcp window set 1000`;
    firewall(`chain early { type filter hook prerouting priority 0; ${rule}; }`);
    const match = `tcp dport ${PORT}`;
    const packets = { kind: 'knock', family: 'IPv6', match, rewritten: 'tcp window 1000' } as const;
    undo.push(setParameter('csum_complete', 1));
    expect(await send(packets)).toEqual(ALL);
    const before = statistic('rx_header_overflow');
    // The window is beyond it.
    undo.push(setParameter('header_room', 64));
    expect(await send(packets)).toEqual(AS_THEY_WERE);
    expect(statistic('rx_header_overflow')).toBeGreaterThan(before + TIMES);
  });

  it('nobody is told of, who is refused', async () => {
    const rule = 'ip6 nexthdr 60 reject with icmpx admin-prohibited';
    firewall(`chain input { type filter hook input priority 0; ${rule}; }`);
    const packets = { kind: 'options', family: 'IPv6', match: 'ip6 nexthdr 60' } as const;
    const told = peerCounter('Icmp6InDestUnreachs');
    undo.push(setParameter('copybreak', LONG));
    expect(await send(packets)).toEqual(NONE);
    await expect.poll(() => peerCounter('Icmp6InDestUnreachs')).toBeGreaterThan(told);
    // The NIC cuts among the options.
    const toldOfReadable = peerCounter('Icmp6InDestUnreachs');
    undo.push(setParameter('copybreak', SHORT));
    expect(await send(packets)).toEqual(NONE);
    expect(peerCounter('Icmp6InDestUnreachs')).toBe(toldOfReadable);
  });

  it.each([
    ['SCTP', 'sctp', SCTP_PACKETS],
    ['errors of ICMP', 'udp', ICMP_ERRORS],
  ] as const)('IPVS drops, of %s', async (_, protocol, packets) => {
    balance(protocol);
    expect(await summedReadableAndNot(packets)).toEqual({
      readable: ALL,
      unreadable: drops ? NONE : ALL,
    });
  });
});
