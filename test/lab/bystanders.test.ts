/**
 * Others who look at packets on their way into device memory, or have to send them on.
 * They get headers alone, or nothing; who is to have the payload gets it unharmed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, describe, expect, it } from 'vitest';

import { bindForEachTest } from './support/bound.js';
import { ADDRESS, type Family, INTERFACE, run } from './support/guest.js';
import { mended, sayIfUnmended } from './support/mended.js';
import { poolsLeftAfterClose } from './support/page-pools.js';
import { receiveStreams } from './support/transfer.js';

const KiB = 2 ** 10;
/** Of Ethernet, IPv6 and TCP with all its options. */
const LONGEST_HEADERS = 14 + 40 + 60;
const GROUP = '7';
const NETFILTER = fileURLToPath(new URL('support/netfilter.py', import.meta.url));
const PEERS = fileURLToPath(new URL('support/peers.py', import.meta.url));

sayIfUnmended('NFQUEUE without super-packets, and fragmentation');

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

/** Runs netfilter.py while `action` runs; what it saw. */
async function watch(
  kind: 'log' | 'queue' | 'pieces',
  action: () => Promise<void>,
): Promise<{ seen: number; longest: number }> {
  const program = spawn('python3', [NETFILTER, kind, GROUP], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const lines = createInterface({ input: program.stdout });
    await once(lines, 'line');
    await action();
    const last = once(lines, 'line');
    program.stdin.end();
    const [line] = (await last) as [string];
    return JSON.parse(line) as { seen: number; longest: number };
  } finally {
    program.kill('SIGKILL');
  }
}

async function expectWholeStream(family: Family, bytes: number): Promise<void> {
  const [received] = await receiveStreams(bound.binding, family, bytes);
  expect(received).toMatchObject({ firstWrong: -1, bytes });
  expect(received!.stats.deviceBytes).toBe(bytes);
  expect(await poolsLeftAfterClose(bound.binding)).toBe(0);
}

describe.each<Family>(['IPv4', 'IPv6'])('over %s', (family) => {
  it('who logs packets sees headers alone', async () => {
    const { seen, longest } = await watch('log', async () => {
      addRule(`log group ${GROUP} snaplen 65535`);
      await expectWholeStream(family, 512 * KiB);
    });
    expect(seen).toBeGreaterThan(8);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });

  it('who queues packets sees headers alone, and can let them pass', async () => {
    const { seen, longest } = await watch('queue', async () => {
      addRule(`queue num ${GROUP}`);
      await expectWholeStream(family, 512 * KiB);
    });
    expect(seen).toBeGreaterThan(8);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });

  it.runIf(mended)('no zeroes come instead where queued packets have to be cut', async () => {
    const { seen, longest } = await watch('pieces', async () => {
      addRule(`queue num ${GROUP}`);
      await expectWholeStream(family, 8 * KiB);
    });
    expect(seen).toBeGreaterThan(0);
    expect(longest).toBeLessThanOrEqual(LONGEST_HEADERS);
  });
});

/** A counter of IPv4 in this network namespace. */
function ipCounter(name: string): number {
  const [names, values] = readFileSync('/proc/net/snmp', 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('Ip: '))
    .map((line) => line.split(' '));
  return Number(values![names!.indexOf(name)]);
}

/** Makes this end a router to 198.51.100.2, for this test. */
function forwardToDummy(mtu: number): void {
  run('ip', 'link', 'add', 'beyond', 'mtu', String(mtu), 'type', 'dummy');
  undo.push(() => run('ip', 'link', 'del', 'beyond'));
  run('ip', 'address', 'add', '198.51.100.1/24', 'dev', 'beyond');
  run('ip', 'link', 'set', 'beyond', 'up');
  run('sysctl', '-q', 'net.ipv4.ip_forward=1');
  undo.push(() => run('sysctl', '-q', 'net.ipv4.ip_forward=0'));
  const route = ['198.51.100.0/24', 'via', ADDRESS.IPv4];
  run('peer', 'ip', 'route', 'add', ...route);
  undo.push(() => run('peer', 'ip', 'route', 'del', ...route));
}

function sendFragmentable(): ChildProcess {
  const args = ['python3', PEERS, 'fragmentable', '198.51.100.2', '4321'];
  return spawn('peer', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

it.runIf(mended)('a router drops what it would have to fragment', async () => {
  forwardToDummy(600);
  const before = ipCounter('FragFails');
  const [status] = (await once(sendFragmentable(), 'exit')) as [number];
  expect(status).toBe(0);
  while (ipCounter('FragFails') < before + 16) await delay(50);
  expect(ipCounter('FragCreates')).toBe(0);
  await expectWholeStream('IPv4', 512 * KiB);
});
