/**
 * Programs that send from device memory, by the kernel's own interface: what the software
 * NIC and the kernel make of it. The package itself only receives so.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, describe, expect, it } from 'vitest';

import { counter, peerCounter } from './support/counters.js';
import {
  ADDRESS,
  type Family,
  INTERFACE,
  PEER_ADDRESS,
  run,
  setParameter,
  statistic,
  streamBytes,
} from './support/guest.js';
import { has, mendedForReaders, sayIfUnmended } from './support/mended.js';
import { ending } from './support/programs.js';

const BYTES = streamBytes(16 * 2 ** 20, 4);
/** Where pieces begin and how long they are is random; DEVMEM_TRANSMIT_SEED has it again. */
const SEED = Number(process.env.DEVMEM_TRANSMIT_SEED ?? Date.now() % 2 ** 31);
const TRANSMIT = fileURLToPath(new URL('support/transmit.py', import.meta.url));
/** Milliseconds that a stream may take. */
const PATIENCE = 250_000;
/** Of the software NIC: in so many of 10,000 packets with payload. */
const LOSS = 100;

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

interface Came {
  bytes: number;
  hash: string;
}

function start(command: string, ...args: string[]) {
  return spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], timeout: PATIENCE });
}

/** Sends BYTES from device memory, and others between; what was sent, and what came. */
async function transmit(family: Family) {
  const host = PEER_ADDRESS[family];
  const started = [start('peer', 'python3', TRANSMIT, 'sink', host)];
  try {
    const [sink] = started;
    const lines = createInterface({ input: sink!.stdout })[Symbol.asyncIterator]();
    const port = (await lines.next()).value as string;
    const args = [TRANSMIT, 'send', host, port, INTERFACE, String(BYTES), String(SEED)];
    const sender = start('python3', ...args);
    started.push(sender);
    const [said] = await Promise.all([text(sender.stdout), once(sender, 'exit')]);
    const { calls, completed, ...sent } = JSON.parse(said) as Came & Record<string, number>;
    const came = JSON.parse((await lines.next()).value as string) as Came;
    return { sent, came, calls, completed };
  } finally {
    for (const each of started) each.kill('SIGKILL');
  }
}

/** Sends a piece from device memory by a connection with hashes, until the peer has refused it. */
async function transmitKeyed(family: Family, hash: string, refusals: string): Promise<void> {
  const host = PEER_ADDRESS[family];
  const sink = ['python3', TRANSMIT, 'keyed_sink', host, hash, ADDRESS[family]];
  const started = [start('peer', ...sink)];
  try {
    const lines = createInterface({ input: started[0]!.stdout })[Symbol.asyncIterator]();
    const port = (await lines.next()).value as string;
    const before = peerCounter(refusals);
    started.push(start('python3', TRANSMIT, 'keyed_send', host, port, INTERFACE, hash));
    while (peerCounter(refusals) === before) await delay(50);
  } finally {
    for (const each of started) each.kill('SIGKILL');
    await Promise.all(started.map(ending));
  }
}

async function expectWhole(family: Family): Promise<void> {
  const before = statistic('tx_device_frags');
  const { sent, came, calls, completed } = await transmit(family);
  expect(came, `seed ${SEED}`).toEqual(sent);
  expect(came.bytes).toBe(BYTES);
  expect(completed).toBe(calls);
  // A piece has a fragment for each page that it touches, and what is sent again more.
  expect(statistic('tx_device_frags') - before).toBeGreaterThanOrEqual(calls!);
  expect(statistic('tx_not_reachable')).toBe(0);
}

sayIfUnmended('probing for the MTU by payload in device memory');

describe.runIf(has('netdev_nl_bind_tx_doit')).each(['IPv4', 'IPv6'] as const)('%s', (family) => {
  it('what is sent from device memory comes whole', async () => {
    await expectWhole(family);
  });

  it('so it does in single segments of which some are lost', async () => {
    sendSegmentsHere(true);
    undo.push(() => sendSegmentsHere(false), setParameter('loss', LOSS));
    const before = counter('TcpRetransSegs');
    await expectWhole(family);
    expect(counter('TcpRetransSegs')).toBeGreaterThan(before);
  });

  it.runIf(mendedForReaders)('so it does where TCP probes for the MTU', async () => {
    undo.push(setSysctl('net.ipv4.tcp_mtu_probing', 2), setSysctl('net.ipv4.tcp_base_mss', 536));
    await expectWhole(family);
  });

  it.runIf(mendedForReaders).each([
    ['TCP-MD5', 'md5', 'TcpExtTCPMD5Failure'],
    ['TCP-AO', 'ao', 'TcpExtTCPAOBad'],
  ])('nobody takes what %s has no hash of', async (_, hash, refusals) => {
    await transmitKeyed(family, hash, refusals);
    await expectWhole(family);
  });
});

/** Whether this end sends each segment as a packet of its own. */
function sendSegmentsHere(on: boolean): void {
  run('ethtool', '-K', INTERFACE, 'tso', on ? 'off' : 'on');
}

function setSysctl(name: string, value: number): () => void {
  const before = run('sysctl', '-n', name).trim();
  run('sysctl', '-qw', `${name}=${value}`);
  return () => {
    run('sysctl', '-qw', `${name}=${before}`);
  };
}
