/** The demo on the real kernel path: the same program, run in the lab's guest. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';

import { CLI, packageFile } from '../../package-files.js';
import { labNeedsClone, readManifest } from '../manifest.js';

const lab = packageFile('kernel/lab/lab.mjs');

/**
 * Runs this demo in the guest and returns its exit status.
 *
 * @throws Error where the lab is not there: it is not in the tarball
 */
export async function runInLab(kernel: string | undefined, args: string[]): Promise<number> {
  if (!existsSync(lab)) throw new Error(labNeedsClone(await readManifest()));
  const options = kernel === undefined ? [] : ['--kernel', kernel];
  const command = [lab, ...options, '--', process.execPath, packageFile(CLI), 'demo', ...args];
  const progress = process.stderr.isTTY ? { DEVMEM_PROGRESS: '1' } : {};
  const child = spawn(process.execPath, command, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, ...progress },
  });
  const [status] = (await once(child, 'exit')) as [number | null];
  return status ?? 1;
}

/** Whether this process runs in the guest. */
export const insideLab = process.env.DEVMEM_LAB === '1';

/** What the guest has: the interface, all its queues, its address, a way to the peer. */
export function labSurroundings(): {
  interface: string;
  queues: number[];
  host: string;
  peerCommand: string[];
} {
  const name = process.env.DEVMEM_LAB_INTERFACE ?? 'dms0';
  const queues = readdirSync(`/sys/class/net/${name}/queues`)
    .filter((each) => each.startsWith('rx-'))
    .map((each) => Number(each.slice(3)));
  const host = process.env.DEVMEM_LAB_ADDRESS ?? '192.0.2.1';
  return { interface: name, queues, host, peerCommand: ['peer'] };
}
