/** Other versions of Node, from the npm packages that ship its binary. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

import { npm, run } from './run.js';

const CACHE = path.join(
  process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache'),
  'devmem-tcp',
  'node',
);

/** A Node binary, or why there is none. */
export type NodeBinary = { file: string } | { reason: string };

/**
 * This Node where it is of that version, else one from the cache, which the npm
 * registry fills.
 *
 * @param major - e.g. 22
 */
export async function nodeBinary(major: number): Promise<NodeBinary> {
  if (process.versions.node.startsWith(`${major}.`)) return { file: process.execPath };
  const file = path.join(CACHE, String(major), 'bin', 'node');
  try {
    if (!existsSync(file)) await download(major, file);
  } catch (error) {
    const { message } = error as Error;
    const [complaint] = /^npm error .*[a-z].*$/m.exec(message) ?? [message];
    return { reason: `Node ${major} is not in ${CACHE} and cannot be fetched: ${complaint}` };
  }
  const { status, stderr } = await run(file, ['--version'], { cwd: CACHE });
  return status === 0 ? { file } : { reason: `Node ${major} does not run here: ${stderr}` };
}

async function download(major: number, file: string): Promise<void> {
  const name = `node-linux-${process.arch}`;
  mkdirSync(path.dirname(file), { recursive: true });
  // Beside its final place, so that it appears there whole.
  const folder = mkdtempSync(path.join(CACHE, 'download-'));
  try {
    const patience = ['--fetch-retries', '1', '--fetch-retry-mintimeout', '1000'];
    const args = ['install', '--prefix', folder, '--ignore-scripts', ...patience];
    await npm([...args, `${name}@${major}`], { cwd: folder });
    renameSync(path.join(folder, 'node_modules', name, 'bin', 'node'), file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
