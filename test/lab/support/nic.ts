/** The state of the interface as ethtool shows it, and other processes that change it. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { PrepareOptions, Setting } from 'devmem-tcp';

import { deleteRule, listRules } from '../../../dist/nic/ioctl/flow-rules.js';
import { setChannels } from '../../../dist/nic/netlink/channels.js';
import { getRings, setRings } from '../../../dist/nic/netlink/ethtool.js';
import { NTUPLE, setFeature } from '../../../dist/nic/netlink/features.js';
import {
  deleteRssContext,
  getRss,
  listRssContexts,
  setRssTable,
} from '../../../dist/nic/netlink/rss.js';
import { INTERFACE, run, setHeaderSplit } from './guest.js';

const PREPARER = fileURLToPath(new URL('preparer.mjs', import.meta.url));
const CLI = fileURLToPath(new URL('../../../dist/bundle/cli.js', import.meta.url));
const QUEUES = 4;

export const JOURNALS = '/run/devmem-tcp';

/** Everything that a preparation may touch, as text. */
export async function snapshot(): Promise<string> {
  // One shell: starting programs is what takes time in the guest.
  const shown = run('sh', '-c', `for each in g l x n k; do ethtool -$each ${INTERFACE}; done`);
  const contexts = `contexts ${(await listRssContexts(INTERFACE)).join(', ')}`;
  return [shown, contexts, `threshold ${(await getRings(INTERFACE))?.hdsThreshold}`].join('\n');
}

/** Whether there can be RSS contexts, which the kernel lists and changes by netlink since 6.11. */
export async function hasRssContexts(): Promise<boolean> {
  return (await getRss(INTERFACE))?.contexts ?? false;
}

/** Queues that the RSS table leads to. */
export function rssQueues(): number[] {
  const lines = run('ethtool', '-x', INTERFACE).matchAll(/^\s*\d+:((?:\s+\d+)+)$/gm);
  const entries = [...lines].flatMap((line) => line[1]!.trim().split(/\s+/).map(Number));
  return [...new Set(entries)].sort((a, b) => a - b);
}

/** How many rules there are. */
export function ruleCount(): number {
  return listRules(INTERFACE)?.rules.length ?? 0;
}

/** An interface that nobody prepared: header split off, all else by default. */
export async function makeBare(): Promise<void> {
  for (const { location } of listRules(INTERFACE)?.rules ?? []) deleteRule(INTERFACE, location);
  for (const context of await listRssContexts(INTERFACE)) {
    await deleteRssContext(INTERFACE, context);
  }
  await setFeature(INTERFACE, NTUPLE, true);
  await setRssTable(INTERFACE, []);
  await setChannels(INTERFACE, { combined: QUEUES });
  if ((await getRings(INTERFACE))?.hdsThreshold) await setRings(INTERFACE, { hdsThreshold: 0 });
  await setHeaderSplit(false);
}

/** Journals that there are. */
export function journals(): string[] {
  return readdirSync(JOURNALS).filter((name) => name.endsWith('.json'));
}

/** Calls the interface otherwise, until the returned function is called. */
export function rename(name: string): () => void {
  const call = (from: string, to: string): void => {
    try {
      run('ip', 'link', 'set', 'dev', from, 'name', to);
    } catch {
      // Before Linux 6.2 it has to be down for that, and would lose its IPv6 addresses.
      writeFileSync(`/proc/sys/net/ipv6/conf/${from}/keep_addr_on_down`, '1');
      run('ip', 'link', 'set', 'dev', from, 'down');
      run('ip', 'link', 'set', 'dev', from, 'name', to);
      run('ip', 'link', 'set', 'dev', to, 'up');
    }
  };
  call(INTERFACE, name);
  return () => {
    call(name, INTERFACE);
  };
}

/** A process that prepared the interface. */
export async function prepareElsewhere(options: PrepareOptions): Promise<ChildProcess> {
  const child = fork(PREPARER, [JSON.stringify(options)]);
  const [message] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [
    unknown,
  ];
  if (message !== 'prepared') throw new Error(`the other process ended: ${String(message)}`);
  return child;
}

/** Prepares in a process that is killed when a setting's turn comes. */
export async function prepareAndDie(options: PrepareOptions, at: Setting): Promise<void> {
  const child = fork(PREPARER, [JSON.stringify(options), at]);
  const [, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (signal !== 'SIGKILL') throw new Error(`the process was not killed at '${at}'`);
}

/** Has the other process restore; returns when it has ended. */
export async function restoreElsewhere(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.send('restore');
  const [status] = (await exit) as [number | null];
  if (status !== 0) throw new Error(`the other process could not restore (status ${status})`);
}

export interface CommandResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `devmem-tcp nic`. */
export function nic(...args: string[]): CommandResult {
  return runProgram(process.execPath, CLI, 'nic', ...args);
}

/** Runs `devmem-tcp nic` without CAP_NET_ADMIN. */
export function nicWithoutPrivilege(...args: string[]): CommandResult {
  return runProgram(
    'setpriv',
    '--bounding-set',
    '-net_admin',
    process.execPath,
    CLI,
    'nic',
    ...args,
  );
}

function runProgram(program: string, ...args: string[]): CommandResult {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}
