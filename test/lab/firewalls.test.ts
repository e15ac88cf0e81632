/**
 * What rewrites packets on their way and has to sum them up again, or verifies their sums:
 * connection tracking, NAT, rules of nftables, IPVS. Of payload in device memory nobody can:
 * what would need it is left as it is, or dropped.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { peerCounter } from './support/counters.js';
import {
  ADDRESS,
  type Family,
  fixNeighbour,
  INTERFACE,
  meetNeighbour,
  run,
  setParameter,
  statistic,
} from './support/guest.js';
import { has, mendedForReaders, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { watch } from './support/programs.js';
import { receiveStreams } from './support/transfer.js';

const KiB = 2 ** 10;
const PEERS = fileURLToPath(new URL('support/other_protocols.py', import.meta.url));
const OVS = fileURLToPath(new URL('support/ovs.py', import.meta.url));
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

/** Packets that the rules of the table `watcher` have counted. */
function packetsCounted(): number[] {
  const told = run('nft', 'list', 'table', 'inet', 'watcher').matchAll(/packets (\d+)/g);
  return [...told].map(([, packets]) => Number(packets));
}

/** What the rules behind all others have counted. */
function passed([through, rewritten = 0]: number[]): Passed {
  return { through: Math.min(through!, TIMES), rewritten: Math.min(rewritten, TIMES) };
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
    while (packetsCounted()[0]! <= TIMES) await delay(50);
    return passed(packetsCounted().slice(1));
  } finally {
    run('nft', 'delete', 'table', 'inet', 'watcher');
  }
}

/** What of SCTP comes to the device of an Open vSwitch, once all has `arrived`. */
async function switched(arrived: () => boolean): Promise<Passed> {
  const counting = `iifname "switch" ${SCTP} counter; ${SCTP_SENT_ON} counter`;
  run(
    'nft',
    `table inet watcher { chain behind { type filter hook prerouting priority 0; ${counting}; }; }`,
  );
  try {
    for (let i = 0; i <= TIMES; i++) run('peer', 'python3', PEERS, 'sctp', ADDRESS.IPv4);
    while (!arrived()) await delay(50);
    return passed(packetsCounted());
  } finally {
    run('nft', 'delete', 'table', 'inet', 'watcher');
  }
}

/** What gets through of packets that the NIC leaves whole, and of those that it splits. */
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

  it('a trace shows all the same', async () => {
    const traced = `udp dport ${PORT} udp length > ${LONG / 4} meta nftrace set 1`;
    const rules = `${traced}; udp dport ${PORT} drop`;
    firewall(`chain early { type filter hook prerouting priority -300; ${rules}; }`);
    undo.push(setParameter('copybreak', SHORT), setParameter('linear_bytes', 0));
    const monitor = spawn('nft', ['monitor', 'trace'], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const lines: string[] = [];
      createInterface({ input: monitor.stdout }).on('line', (line) => lines.push(line));
      // Nobody tells when it has begun to watch.
      while (!lines.some((line) => / packet: .* udp dport \d+ /.test(line))) {
        run('peer', 'python3', PEERS, 'datagrams', ADDRESS.IPv4);
        await delay(500);
      }
    } finally {
      monitor.kill('SIGKILL');
    }
  });

  it.runIf(has('ovs_dp_process_packet'))('Open vSwitch drops, of SCTP', async () => {
    undo.push(fixNeighbour('IPv4'));
    await watch([OVS, INTERFACE, String(OTHER_PORT)], async () => {
      const address = readFileSync(`/sys/class/net/${INTERFACE}/address`, 'utf8').trim();
      run('ip', 'link', 'set', 'switch', 'address', address, 'up');
      undo.push(setParameter('copybreak', LONG));
      const isThrough = (): boolean => packetsCounted()[0]! > TIMES;
      expect(await switched(isThrough)).toEqual(ALL);
      const before = statistic('rx_device_frags');
      undo.push(setParameter('copybreak', SHORT));
      const isSplit = (): boolean => statistic('rx_device_frags') > before + TIMES;
      expect(await switched(isSplit)).toEqual(drops ? NONE : ALL);
    });
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
