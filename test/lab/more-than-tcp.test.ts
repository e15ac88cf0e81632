/**
 * A NIC that splits more than TCP, and so puts into device memory what no socket takes
 * from there: datagrams, ICMP, fragments. Nobody is harmed by that, and TCP goes on.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { counter } from './support/counters.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  meetNeighbour,
  run,
  setParameter,
  statistic,
} from './support/guest.js';
import { has, mendedForReaders, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { ending } from './support/programs.js';
import { receiveStreams } from './support/transfer.js';

const KiB = 2 ** 10;
const FAMILIES: Family[] = ['IPv4', 'IPv6'];
const PEERS = fileURLToPath(new URL('support/other_protocols.py', import.meta.url));
const READER = fileURLToPath(new URL('support/datagram_reader.py', import.meta.url));
const EXTRAS = fileURLToPath(new URL('support/extras.py', import.meta.url));
/** Long ones, and bytes that are echoed, of other_protocols.py. */
const DATAGRAMS = 8;
const ECHOED = 1000;
/** Bytes up to which the NIC leaves a payload whole: a short datagram, or a piece of a header. */
const SHORT = 64;
const LONG = 2048;
/** What an error of ICMP says of the extension whose checksum is wrong: SO_EE_RFC4884_FLAG_INVALID. */
const INVALID = 1;

sayIfUnmended('a NIC that splits more than TCP');

/** linux-6.1 subtracts nothing, and tells the sum of all. */
const subtracts = has('net_devmem_page_offset');

const bound = bindForEachTest([1]);

const undo: (() => void)[] = [];
beforeEach(async () => {
  // While what asks for them can be read.
  for (const family of FAMILIES) await meetNeighbour(family);
  undo.push(setParameter('split_all', 1), setParameter('copybreak', SHORT));
});
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

/** Has the peer send something; what it says of answers. */
const send = (kind: string, family: Family): string =>
  run('peer', 'python3', PEERS, kind, ADDRESS[family]);

/** The same, once all payload of it has come to device memory. */
async function sendUnreadable(kind: string, family: Family, packets: number): Promise<void> {
  const before = statistic('rx_device_frags');
  send(kind, family);
  while (statistic('rx_device_frags') < before + packets) await delay(50);
}

afterEach(async () => {
  const [received] = await receiveStreams(bound.binding, 'IPv4', 512 * KiB);
  expect(received).toMatchObject({ firstWrong: -1, bytes: 512 * KiB });
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
});

/** What a program here says in the end, to which the peer sends something. */
async function ask(
  program: string,
  how: readonly string[],
  family: Family,
  kind: string,
): Promise<unknown> {
  const asker = spawn('python3', [program, ADDRESS[family], ...how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface({ input: asker.stdout });
    const end = once(lines, 'close').then(async () => {
      throw new Error(`${basename(program)} said too little: ${await ending(asker)}`);
    });
    const line = (): Promise<[string]> =>
      Promise.race([once(lines, 'line') as Promise<[string]>, end]);
    await line();
    send(kind, family);
    return JSON.parse((await line())[0]);
  } finally {
    asker.kill('SIGKILL');
  }
}

/** Reads datagrams here while the peer sends some; how many came, and how many were refused. */
async function readDatagrams(
  family: Family,
  ...how: string[]
): Promise<{ refused: number; got: number }> {
  return (await ask(READER, how, family, 'datagrams')) as { refused: number; got: number };
}

/** Turns offloads of an interface on, for this test. */
function turnOn(...features: string[]): void {
  for (const feature of features) {
    run('ethtool', '-K', INTERFACE, feature, 'on');
    undo.push(() => run('ethtool', '-K', INTERFACE, feature, 'off'));
  }
}

describe('payload of others in device memory', () => {
  it.each(FAMILIES)('a reader of datagrams is refused each, over %s', async (family) => {
    expect(await readDatagrams(family)).toEqual({ refused: DATAGRAMS, got: 0 });
  });

  it.each(['rx-udp-gro-forwarding', 'rx-gro-list'])(
    'the same where %s joins them',
    async (feature) => {
      turnOn(feature);
      const { refused, got } = await readDatagrams('IPv4');
      expect(got).toBe(0);
      expect(refused).toBeGreaterThan(0);
      expect(refused).toBeLessThanOrEqual(DATAGRAMS);
    },
  );

  it.each(FAMILIES)('an echo has nothing in it that was not sent, over %s', (family) => {
    // Nobody has verified it, so it is summed up.
    undo.push(setParameter('csum_complete', 1));
    const before = statistic('rx_device_frags');
    expect(JSON.parse(send('echo', family))).toEqual({ bytes: ECHOED, strange: 0 });
    expect(statistic('rx_device_frags')).toBeGreaterThan(before);
  });
});

// Where nothing can be seen of what was dropped, a complaint of the kernel fails the run.
describe.runIf(mendedForReaders)('what asks for some of it', () => {
  it.each(FAMILIES)('nobody waits behind what a sockmap cannot pass, over %s', async (family) => {
    expect(await readDatagrams(family, 'sockmap')).toEqual({ refused: 0, got: 0 });
  });

  it('a request for the time is an error', async () => {
    undo.push(setParameter('csum_complete', 1), setParameter('copybreak', 0));
    const before = counter('IcmpInErrors');
    await sendUnreadable('timestamp', 'IPv4', 1);
    while (counter('IcmpInErrors') === before) await delay(50);
  });

  it.each([
    ['fragments', 'IPv4', 'IpReasmFails'],
    ['fragments', 'IPv6', 'Ip6ReasmFails'],
    ['fragments_swapped', 'IPv4', 'IpReasmFails'],
    ['fragments_swapped', 'IPv6', 'Ip6ReasmFails'],
  ] as const)('%s of both kinds are discarded, over %s', async (kind, family, failures) => {
    const before = counter(failures);
    await sendUnreadable(kind, family, 1);
    while (counter(failures) === before) await delay(50);
  });

  it.runIf(has('pim_rcv')).each(FAMILIES)(
    'a register of PIM is dropped that nobody can sum up, over %s',
    async (family) => {
      // What is inside begins beside the headers, else it is dropped before.
      undo.push(setParameter('linear_bytes', SHORT));
      await sendUnreadable('pim', family, 1);
    },
  );

  it.runIf(has('dccp_invalid_packet'))('so is a packet of DCCP', async () => {
    undo.push(setParameter('linear_bytes', SHORT));
    await sendUnreadable('dccp', 'IPv4', 1);
  });

  it('the extension of an error is not taken for right', async () => {
    undo.push(setParameter('csum_complete', 1), setParameter('linear_bytes', 4 * SHORT));
    const read = (): Promise<unknown> => ask(EXTRAS, ['errors'], 'IPv4', 'extended_error');
    undo.push(setParameter('copybreak', LONG));
    expect(await read()).toEqual([0]);
    const before = statistic('rx_device_frags');
    undo.push(setParameter('copybreak', SHORT));
    expect(await read()).toEqual([INVALID]);
    expect(statistic('rx_device_frags')).toBeGreaterThan(before);
  });

  it('no sum is told of what was peeked at before', async () => {
    undo.push(setParameter('csum_complete', 1));
    const read = (): Promise<unknown> => ask(EXTRAS, ['sums'], 'IPv4', 'datagrams');
    undo.push(setParameter('copybreak', LONG));
    expect(await read()).toEqual([expect.any(Number)]);
    const before = statistic('rx_device_frags');
    undo.push(setParameter('copybreak', SHORT));
    expect(await read()).toHaveLength(subtracts ? 1 : 0);
    expect(statistic('rx_device_frags')).toBeGreaterThan(before);
  });

  it('conntrack takes nothing for right that it cannot sum up', async () => {
    const rule = 'ct state invalid counter drop';
    const chain = `chain early { type filter hook prerouting priority 0; ${rule}; };`;
    run('nft', `table inet tracker { ${chain} }`);
    undo.push(() => run('nft', 'delete', 'table', 'inet', 'tracker'));
    await sendUnreadable('unsummed_icmp', 'IPv4', 1);
    while (invalidPackets() === 0) await delay(50);
  });
});

/** Packets that conntrack could make no sense of. */
function invalidPackets(): number {
  return Number(/packets (\d+)/.exec(run('nft', 'list', 'table', 'inet', 'tracker'))![1]);
}
