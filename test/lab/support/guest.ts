/** The guest as the tests use it: its NIC pair, its peer, its settings. */
import { execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { setRings } from '../../../dist/nic/netlink/ethtool.js';

/** The receiving end's interface. */
export const INTERFACE = 'dms0';
export const PEER_INTERFACE = 'dms1';
export const ADDRESS = { IPv4: '192.0.2.1', IPv6: '2001:db8::1' } as const;
export const PEER_ADDRESS = { IPv4: '192.0.2.2', IPv6: '2001:db8::2' } as const;
export type Family = keyof typeof ADDRESS;

if (process.env.DEVMEM_LAB !== '1') {
  throw new Error("These tests need the lab's guest: run 'npm run test:lab'");
}

// CONFIG_LOCALVERSION of kernel/lab/config/debug.config.
const debugKernel = release().endsWith('-lab-debug');

/** Milliseconds that a program of the tests may take for what it is asked to do. */
export const ACTION_TIMEOUT = debugKernel ? 540_000 : 180_000;

/**
 * How long a stream has to be that is long for the sake of chance: on a kernel with all
 * checks on, which takes many times as long for each byte, a `share`-th of it.
 */
export function streamBytes(bytes: number, share: number): number {
  return debugKernel ? bytes / share : bytes;
}

/** Runs a program here, in the receiving namespace; returns its output. */
export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Has the peer know where this end is, which few of its packets would wait for. */
export async function meetNeighbour(family: Family): Promise<void> {
  const isKnown = (): boolean =>
    run('peer', 'ip', 'neigh', 'show', ADDRESS[family]).includes('lladdr');
  if (!isKnown()) run('peer', 'bash', '-c', `printf . > /dev/udp/${ADDRESS[family]}/9`);
  while (!isKnown()) await delay(50);
}

/**
 * Has the peer know where this end is though nobody answers for it, until the returned
 * function is called.
 */
export function fixNeighbour(family: Family): () => void {
  const mac = readFileSync(`/sys/class/net/${INTERFACE}/address`, 'utf8').trim();
  const entry = [ADDRESS[family], 'dev', PEER_INTERFACE];
  run('peer', 'ip', 'neigh', 'replace', ...entry, 'lladdr', mac);
  return () => run('peer', 'ip', 'neigh', 'del', ...entry);
}

/** Sets the interface up again, with the addresses that it loses when it goes down. */
export function setInterfaceUp(): void {
  run('ip', 'link', 'set', INTERFACE, 'up');
  run('ip', 'address', 'replace', `${ADDRESS.IPv4}/24`, 'dev', INTERFACE);
  run('ip', 'address', 'replace', `${ADDRESS.IPv6}/64`, 'dev', INTERFACE, 'nodad');
}

/** Sets the MTU of both ends, in bytes. */
export function setMtu(bytes: number): void {
  run('ip', 'link', 'set', INTERFACE, 'mtu', String(bytes));
  run('peer', 'ip', 'link', 'set', PEER_INTERFACE, 'mtu', String(bytes));
}

const PARAMETERS = '/sys/module/devmemsim/parameters';

/** Sets a parameter of the software NIC until the returned function is called. */
export function setParameter(name: string, value: number): () => void {
  const file = `${PARAMETERS}/${name}`;
  const before = readFileSync(file, 'utf8');
  writeFileSync(file, String(value));
  return () => {
    writeFileSync(file, before);
  };
}

/** The rx queues of the receiving interface. */
export function rxQueues(): number[] {
  return readdirSync(`/sys/class/net/${INTERFACE}/queues`)
    .filter((name) => name.startsWith('rx-'))
    .map((name) => Number(name.slice('rx-'.length)))
    .sort((a, b) => a - b);
}

/** Hashes all traffic to `count` queues from `first` on, until the returned function is called. */
export function steerToQueues(first: number, count: number): () => void {
  run('ethtool', '-X', INTERFACE, 'start', String(first), 'equal', String(count));
  return () => {
    run('ethtool', '-X', INTERFACE, 'default');
  };
}

/** Sends what comes for a port over IPv4 to a queue, until the returned function is called. */
export function steerPort(port: number, queue: number): () => void {
  const flow = ['flow-type', 'tcp4', 'dst-port', String(port), 'action', String(queue)];
  const location = /ID (\d+)/.exec(run('ethtool', '-N', INTERFACE, ...flow))![1]!;
  return () => {
    run('ethtool', '-N', INTERFACE, 'delete', location);
  };
}

/** A counter of `ethtool -S`, over all queues, e.g. `rx_pool_empty`. */
export function statistic(name: string): number {
  const match = new RegExp(`^\\s*${name}: (\\d+)$`, 'm').exec(run('ethtool', '-S', INTERFACE));
  if (match === null) throw new Error(`${INTERFACE} has no statistic '${name}'`);
  return Number(match[1]);
}

/** Has the peer send segments, not super-packets, from now on. */
export function sendSegments(on: boolean): void {
  const state = on ? 'off' : 'on';
  run('peer', 'ethtool', '-K', PEER_INTERFACE, 'tso', state, 'gso', state);
}

/** Turns header split (tcp-data-split) on or off. */
export async function setHeaderSplit(on: boolean): Promise<void> {
  await setRings(INTERFACE, { tcpDataSplit: on ? 'enabled' : 'disabled' });
}
