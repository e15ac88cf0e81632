/** Programs in a network namespace of their own, where links can be made and renamed. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { itWhere } from './conditions.js';

const UNSHARE = ['--user', '--map-root-user', '--net', 'sh', '-c'];

/** A pair of virtual interfaces. */
export const VETH = 'ip link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1';

/** Whether `ip` can do as it is told in a namespace here. */
export function namespaceCan(...setup: string[]): boolean {
  return spawnSync('unshare', [...UNSHARE, ['set -e', ...setup].join('\n')]).status === 0;
}

export const itInNamespace = itWhere(
  namespaceCan(VETH),
  "no user namespaces, or no veth: 'unshare --user --net' and iproute2 enable this",
);

/** The path of a program of test/host/children. */
export function childProgram(name: string): string {
  return fileURLToPath(new URL(`../host/children/${name}.mjs`, import.meta.url));
}

/**
 * Runs node in a namespace of its own, once the commands were done there.
 *
 * @param args - of node
 * @returns the JSON that the program printed
 */
export function inNamespace(setup: readonly string[], ...args: string[]): unknown {
  const script = ['set -e', ...setup, 'exec "$@"'].join('\n');
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    [...UNSHARE, script, 'sh', process.execPath, ...args],
    { encoding: 'utf8', timeout: 50_000 },
  );
  if (status !== 0) throw new Error(`it ended with status ${status}: ${stdout}${stderr}`);
  return JSON.parse(stdout);
}
