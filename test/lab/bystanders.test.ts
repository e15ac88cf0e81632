/**
 * Others who look at packets on their way into device memory, or have to send them on.
 * They get headers alone, or nothing; who is to have the payload gets it unharmed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { bindRx, createServer } from 'devmem-tcp';
import { afterEach, describe, expect, it } from 'vitest';

import { deferred } from '../support/deferred.js';
import { bindForEachTest } from './support/bound.js';
import { counter, peerCounter } from './support/counters.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  fixNeighbour,
  meetNeighbour,
  PEER_ADDRESS,
  PEER_INTERFACE,
  run,
  statistic,
} from './support/guest.js';
import { has, mended, mendedForReaders, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { watch } from './support/programs.js';
import { type Received, patternReader, receiveStreams, startSender } from './support/transfer.js';

const KiB = 2 ** 10;
const MiB = 2 ** 20;
/** Of Ethernet, IPv6 and TCP with all its options. */
const LONGEST_HEADERS = 14 + 40 + 60;
const GROUP = '7';
const NETFILTER = fileURLToPath(new URL('support/netfilter.py', import.meta.url));
const RAW_IP = fileURLToPath(new URL('support/raw_ip.py', import.meta.url));
const PACKET_COPIES = fileURLToPath(new URL('support/packet_copies.py', import.meta.url));
const REDIRECTS = fileURLToPath(new URL('support/redirects.py', import.meta.url));
const OVS = fileURLToPath(new URL('support/ovs.py', import.meta.url));
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));

sayIfUnmended('NFQUEUE without super-packets, and fragmentation');

/** Where nothing is sent from device memory but what was bound for sending: on old kernels nothing. */
const sendsWhatIsBoundForIt = mendedForReaders || !has('netdev_nl_bind_tx_doit');

const bound = bindForEachTest([1]);

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

/** Applies a rule to all TCP that comes from the peer, for this test. */
function addRule(verdict: string): void {
  const rule = `iifname "${INTERFACE}" meta l4proto tcp ${verdict}`;
  const chain = `chain input { type filter hook input priority 0; ${rule}; };`;
  run('nft', `table inet bystander { ${chain} }`);
  undo.push(() => run('nft', 'delete', 'table', 'inet', 'bystander'));
}

async function expectWholeStream(family: Family, bytes: number): Promise<void> {
  const [received] = await receiveStreams(bound.binding, family, bytes);
  expect(received).toMatchObject({ firstWrong: -1, bytes });
  expect(received!.stats.deviceBytes).toBe(bytes);
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
}

describe.each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  it('who logs packets sees headers alone', async () => {
    const { seen, longest } = await watch([NETFILTER, 'log', GROUP], async () => {
      addRule(`log group ${GROUP} snaplen 65535`);
      await expectWholeStream(family, 512 * KiB);
    });
    expect(seen).toBeGreaterThan(8);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });

  it('who queues packets sees headers alone, and can let them pass', async () => {
    const { seen, longest } = await watch([NETFILTER, 'queue', GROUP], async () => {
      addRule(`queue num ${GROUP}`);
      await expectWholeStream(family, 512 * KiB);
    });
    expect(seen).toBeGreaterThan(8);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });

  it.runIf(mended)('no zeroes come instead where queued packets have to be cut', async () => {
    const { seen, longest } = await watch([NETFILTER, 'pieces', GROUP], async () => {
      addRule(`queue num ${GROUP}`);
      await expectWholeStream(family, 8 * KiB);
    });
    expect(seen).toBeGreaterThan(0);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });

  it('who reads all TCP by a raw socket gets headers alone', async () => {
    const { seen, longest } = await watch([RAW_IP, ADDRESS[family]], () =>
      expectWholeStream(family, 512 * KiB),
    );
    expect(seen).toBeGreaterThan(8);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });

  it('who matches by u32 what lies behind the headers finds it in readable packets alone', async () => {
    const matches = countU32(family, '200=0:0xffffffff');
    run('peer', 'bash', '-c', `printf %300s > /dev/udp/${ADDRESS[family]}/9`);
    while (matches.count() < 1) await delay(50);
    const before = statistic('rx_split_packets');
    const stream = expectWholeStream(family, 512 * KiB);
    // No packet comes by of which the match cannot tell.
    while (statistic('rx_split_packets') < before + 3) await delay(50);
    expect(matches.count()).toBe(1);
    matches.stop();
    await stream;
  });
});

/** Counts packets from the peer that a u32 expression matches, until it is stopped. */
function countU32(family: Family, expression: string): { count(): number; stop(): void } {
  const iptables = family === 'IPv4' ? 'iptables' : 'ip6tables';
  const rule = ['INPUT', '-i', INTERFACE, '-m', 'u32', '--u32', expression];
  let stopped = false;
  const stop = (): void => {
    if (stopped) return;
    stopped = true;
    run(iptables, '-D', ...rule);
  };
  run(iptables, '-A', ...rule);
  undo.push(stop);
  return {
    // A line for the chain, one for columns, one for the rule.
    count: () => Number(/^\s*(\d+)/.exec(run(iptables, '-nvxL', 'INPUT').split('\n')[2]!)![1]),
    stop,
  };
}

/** Networks beyond this end, and how it is made their router. */
const BEYOND = {
  IPv4: {
    address: '198.51.100.2',
    network: '198.51.100.0/24',
    own: ['198.51.100.1/24'],
    forwarding: 'net.ipv4.ip_forward',
  },
  IPv6: {
    address: '2001:db8:1::2',
    network: '2001:db8:1::/64',
    own: ['2001:db8:1::1/64', 'nodad'],
    forwarding: 'net.ipv6.conf.all.forwarding',
  },
} as const;
/** Segments that peers.py sends, and bytes of payload of each. */
const SEGMENTS = 16;
const SEGMENT_BYTES = 1300;

/** Makes this end a router, to the peer's network beyond, for this test. */
function forward(family: Family): void {
  const { network, forwarding } = BEYOND[family];
  run('sysctl', '-q', `${forwarding}=1`);
  undo.push(() => run('sysctl', '-q', `${forwarding}=0`));
  const route = [network, 'via', ADDRESS[family]];
  run('peer', 'ip', 'route', 'add', ...route);
  undo.push(() => run('peer', 'ip', 'route', 'del', ...route));
}

/** The same; the network is here, at an interface of its own. */
function forwardToDummy(family: Family, mtu: number): void {
  run('ip', 'link', 'add', 'beyond', 'mtu', String(mtu), 'type', 'dummy');
  undo.push(() => run('ip', 'link', 'del', 'beyond'));
  run('ip', 'address', 'add', ...BEYOND[family].own, 'dev', 'beyond');
  run('ip', 'link', 'set', 'beyond', 'up');
  forward(family);
}

/** The same; the network is behind the peer again. */
function forwardBack(family: Family): void {
  const route = [BEYOND[family].network, 'via', PEER_ADDRESS[family]];
  run('ip', 'route', 'add', ...route);
  undo.push(() => run('ip', 'route', 'del', ...route));
  forward(family);
}

/** Makes this end a router of IPv6, to an address that is the peer's, too, for this test. */
function forwardToNeighbour(address: string): void {
  const mac = run('peer', 'cat', `/sys/class/net/${PEER_INTERFACE}/address`).trim();
  run('ip', 'route', 'add', address, 'dev', INTERFACE);
  undo.push(() => run('ip', 'route', 'del', address, 'dev', INTERFACE));
  run('ip', 'neigh', 'replace', address, 'dev', INTERFACE, 'lladdr', mac);
  undo.push(() => run('ip', 'neigh', 'del', address, 'dev', INTERFACE));
  forward('IPv6');
}

/** Has the peer send segments to the network beyond; returns when all are sent. */
async function sendBeyond(family: Family): Promise<void> {
  await meetNeighbour(family);
  const args = ['python3', PEERS, 'segments', BEYOND[family].address, '4321'];
  const peer = spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  expect(await once(peer, 'exit')).toEqual([0, null]);
}

/** Segments that are to be sent back to where they came from are dropped, each of them. */
async function expectNothingSentBack(family: Family): Promise<void> {
  forwardBack(family);
  const [dropped, sent] = [countOwn('tx_dropped'), statistic('tx_device_frags')];
  const sentBack = (): number => statistic('tx_device_frags') - sent;
  await sendBeyond(family);
  while (countOwn('tx_dropped') - dropped + sentBack() < SEGMENTS) await delay(50);
  expect(sentBack()).toBe(0);
}

type Statistic = 'tx_dropped' | 'tx_bytes';

function count(name: Statistic, ofInterface: string): number {
  return Number(readFileSync(`/sys/class/net/${ofInterface}/statistics/${name}`, 'utf8'));
}

/** What the interface to the network beyond counts. */
const countBeyond = (name: Statistic): number => count(name, 'beyond');
/** What the NIC counts. */
const countOwn = (name: Statistic): number => count(name, INTERFACE);

describe.each<Family>(['IPv4', 'IPv6'])('a router of %s', (family) => {
  it('drops what it cannot read, and so cannot send', async () => {
    forwardToDummy(family, 1500);
    await sendBeyond(family);
    while (countBeyond('tx_dropped') < SEGMENTS) await delay(50);
    // Neighbours are looked for all the same.
    expect(countBeyond('tx_bytes')).toBeLessThan(SEGMENT_BYTES);
    await expectWholeStream(family, 512 * KiB);
  });

  it.runIf(sendsWhatIsBoundForIt)('sends nothing from where the NIC receives', async () => {
    await expectNothingSentBack(family);
    await expectWholeStream(family, 512 * KiB);
  });

  it.runIf(mendedForReaders && has('io_recvzc'))('nor from where io_uring receives', async () => {
    await bound.binding.close();
    const options = { interface: INTERFACE, queues: [1], memory: bound.memory } as const;
    bound.binding = await bindRx({ ...options, mode: 'devmem', transport: 'zcrx' });
    await expectNothingSentBack(family);
    await expectWholeStream(family, 512 * KiB);
  });
});

it.runIf(mended)('a router drops what it would have to fragment', async () => {
  forwardToDummy('IPv4', 600);
  const before = counter('IpFragFails');
  await sendBeyond('IPv4');
  while (counter('IpFragFails') < before + SEGMENTS) await delay(50);
  expect(counter('IpFragCreates')).toBe(0);
  await expectWholeStream('IPv4', 512 * KiB);
});

it('a router of IPv6, which fragments nothing, refuses what is too big', async () => {
  forwardToDummy('IPv6', 1280);
  forgetWhatIsLearned();
  const before = counter('Ip6InTooBigErrors');
  const [told, wrong] = [peerCounter('Icmp6InPktTooBigs'), peerCounter('Icmp6InCsumErrors')];
  await sendBeyond('IPv6');
  if (mendedForReaders) {
    // Told so by what it can verify, the peer sends the rest in fragments.
    while (peerCounter('Icmp6InPktTooBigs') === told) await delay(50);
    expect(peerCounter('Icmp6InCsumErrors')).toBe(wrong);
    expect(counter('Ip6InTooBigErrors')).toBeGreaterThan(before);
  } else {
    while (counter('Ip6InTooBigErrors') < before + SEGMENTS) await delay(50);
    expect(countBeyond('tx_bytes')).toBeLessThan(SEGMENT_BYTES);
  }
  await expectWholeStream('IPv6', 512 * KiB);
});

/** Has the peer forget, after this test, what routers told it. */
function forgetWhatIsLearned(): void {
  undo.push(() => run('peer', 'ip', '-6', 'route', 'flush', 'cache'));
}

it.runIf(mendedForReaders)('a router of IPv6 redirects by the headers alone', async () => {
  forwardToNeighbour(BEYOND.IPv6.address);
  forgetWhatIsLearned();
  const { seen, longest } = await watch(
    [REDIRECTS],
    async () => {
      const sent = peerCounter('Icmp6InRedirects');
      while (peerCounter('Icmp6InRedirects') === sent) await sendBeyond('IPv6');
    },
    ['peer', 'python3'],
  );
  expect(seen).toBeGreaterThan(0);
  expect(longest).toBeGreaterThan(0);
  expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  await expectWholeStream('IPv6', 512 * KiB);
});

it.runIf(mended && has('ovs_dp_process_packet'))(
  'Open vSwitch asks nobody about what nobody can read',
  async () => {
    undo.push(fixNeighbour('IPv4'));
    const before = statistic('rx_split_packets');
    const { seen, longest, lost } = await watch([OVS, INTERFACE], async () => {
      run('peer', 'python3', PEERS, 'segments', ADDRESS.IPv4, '4321');
      run('peer', 'bash', '-c', `printf %300s > /dev/udp/${ADDRESS.IPv4}/9`);
      while (statistic('rx_split_packets') < before + SEGMENTS) await delay(50);
    });
    expect(seen).toBeGreaterThan(0);
    expect(longest).toBeLessThan(SEGMENT_BYTES);
    expect(lost).toBeGreaterThanOrEqual(SEGMENTS);
    await expectWholeStream('IPv4', 512 * KiB);
  },
);

/** Lets go of packets that somebody has beside TCP, once there were some. */
type LetGo = () => Promise<void>;

/** Has everything that comes sent on by a device that lets it wait for a second. */
function mirrorToSlowDevice(): LetGo {
  run('ip', 'link', 'add', 'slow', 'type', 'dummy');
  run('ip', 'link', 'set', 'slow', 'up');
  run('tc', 'qdisc', 'add', 'dev', 'slow', 'root', 'netem', 'delay', '1s', 'limit', '100000');
  run('tc', 'qdisc', 'add', 'dev', INTERFACE, 'ingress');
  const mirror = ['action', 'mirred', 'egress', 'mirror', 'dev', 'slow'];
  run('tc', 'filter', 'add', 'dev', INTERFACE, 'ingress', 'matchall', ...mirror);
  return async () => {
    while (slowPackets().sent < 3 || slowPackets().waiting > 0) await delay(50);
    run('tc', 'qdisc', 'del', 'dev', INTERFACE, 'ingress');
    run('ip', 'link', 'del', 'slow');
  };
}

/** Packets that the slow device still has, and all that it has had. */
function slowPackets(): { waiting: number; sent: number } {
  const told = run('tc', '-s', 'qdisc', 'show', 'dev', 'slow');
  const read = (pattern: RegExp): number => Number(pattern.exec(told)![1]);
  return { waiting: read(/backlog \S+ (\d+)p/), sent: read(/Sent \d+ bytes (\d+) pkt/) };
}

/** Has packets that are too long for its ring kept by a packet socket. */
async function keepByPacketSocket(): Promise<LetGo> {
  const program = spawn('python3', [PACKET_COPIES, INTERFACE, '2'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  undo.push(() => program.kill('SIGKILL'));
  const lines = createInterface({ input: program.stdout });
  await once(lines, 'line');
  const kept = once(lines, 'line');
  return async () => {
    await kept;
    program.stdin.end();
    await once(program, 'exit');
  };
}

// Neighbours do not believe each other over more than one hop.
const REWRITE = {
  IPv4: 'meta l4proto tcp counter ip ttl set 42',
  IPv6: 'meta l4proto tcp counter ip6 hoplimit set 42',
} as const;

const KEEPERS = [
  ['a device that sends it on', 'IPv4', mirrorToSlowDevice],
  ['a device that sends it on', 'IPv6', mirrorToSlowDevice],
  ['a packet socket', 'IPv4', keepByPacketSocket],
  ['a packet socket', 'IPv6', keepByPacketSocket],
] as const;

it.runIf(mended).each(KEEPERS)(
  'the NIC gets nothing back that TCP has when %s lets go of it, too, over %s',
  async (_, family, keep) => {
    const bytes = 64 * KiB;
    const letGo = await keep();
    undo.push(() => run('nft', 'delete', 'table', 'inet', 'rewriter'));
    // A packet that others have too gets a head of its own for that.
    const chain = 'chain early { type filter hook prerouting priority 0; ';
    run('nft', `table inet rewriter { ${chain} ${REWRITE[family]}; }; }`);

    const reading = deferred();
    const received = deferred<Received>();
    await using server = createServer({ binding: bound.binding }, async (socket) => {
      await reading.promise;
      received.resolve(await patternReader(socket));
    });
    const host = ADDRESS[family];
    const { port } = await server.listen({ host });
    const sender = startSender(host, port, bytes);
    await letGo();
    // All of the memory comes by once more while the first stream waits to be read.
    const [others] = await receiveStreams(bound.binding, family, 24 * MiB);
    expect(others).toMatchObject({ firstWrong: -1, bytes: 24 * MiB });
    expect(run('nft', 'list', 'table', 'inet', 'rewriter')).toMatch(/counter packets [1-9]/);
    reading.resolve();
    expect(await received.promise).toMatchObject({ firstWrong: -1, bytes });
    sender.kill('SIGKILL');
    expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
  },
);
