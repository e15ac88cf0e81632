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
    return { reason: `Node ${major} is not in ${CACHE}, nor to be had: ${complaint(error)}` };
  }
  const { status, stderr } = await run(file, ['--version'], { cwd: CACHE });
  return status === 0 ? { file } : { reason: `Node ${major} does not run here: ${stderr}` };
}

/** Those that the package supports. */
export const NODE_VERSIONS = [20, 22, 24, 26] as const;

/** The same; in CI each has to be there. */
export async function requiredNode(major: number): Promise<NodeBinary> {
  const binary = await nodeBinary(major);
  if ('reason' in binary && process.env.CI === 'true') throw new Error(binary.reason);
  return binary;
}

/**
 * A Node binary of another architecture, or why there is none.
 *
 * @param major - e.g. 22
 * @param arch - as Node calls it, e.g. `arm64`
 */
export async function foreignNode(major: number, arch: string): Promise<NodeBinary> {
  const file = path.join(CACHE, `${major}-${arch}`, 'bin', 'node');
  try {
    if (!existsSync(file)) await download(major, file, arch);
    return { file };
  } catch (error) {
    return { reason: `Node ${major} for ${arch} is not in ${CACHE}: ${complaint(error)}` };
  }
}

async function download(major: number, file: string, arch: string = process.arch): Promise<void> {
  const name = `node-linux-${arch}`;
  await install(`${name}@${major}`, path.join(name, 'bin', 'node'), file);
}

/** The script of npm of a version, from the cache; in CI it has to be there. */
export async function npmOf(major: number): Promise<NodeBinary> {
  const folder = path.join(CACHE, `npm-${major}`);
  try {
    if (!existsSync(folder)) await install(`npm@${major}`, 'npm', folder);
    return { file: path.join(folder, 'bin', 'npm-cli.js') };
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    return { reason: `npm ${major} is not in ${CACHE}, nor to be had: ${complaint(error)}` };
  }
}

/** A folder with Node's types in `node`, or why there is none. */
export type NodeTypes = { folder: string } | { reason: string };

/**
 * The types of a version of Node, from the cache, which the npm registry fills.
 *
 * @param major - e.g. 24
 */
export async function nodeTypes(major: number): Promise<NodeTypes> {
  const modules = path.join(CACHE, `types-${major}`, 'node_modules');
  try {
    if (!existsSync(modules)) await install(`@types/node@${major}`, '.', modules);
  } catch (error) {
    return {
      reason: `Node ${major}'s types are not in ${CACHE}, nor to be had: ${complaint(error)}`,
    };
  }
  return { folder: path.join(modules, '@types') };
}

/**
 * Installs a package and moves what is asked for of node_modules to its place in the cache.
 *
 * @param spec - name@version
 * @param part - a path below node_modules
 */
async function install(spec: string, part: string, place: string): Promise<void> {
  mkdirSync(path.dirname(place), { recursive: true });
  // Beside its final place, so that it appears there whole.
  const folder = mkdtempSync(path.join(CACHE, 'download-'));
  try {
    const patience = ['--fetch-retries', '1', '--fetch-retry-mintimeout', '1000'];
    // By force, what is for other architectures too.
    const args = ['install', '--prefix', folder, '--ignore-scripts', '--force', ...patience];
    await npm([...args, spec], { cwd: folder });
    renameSync(path.join(folder, 'node_modules', part), place);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What npm says went wrong. */
function complaint(error: unknown): string {
  const { message } = error as Error;
  return /^npm error .*[a-z].*$/m.exec(message)?.[0] ?? message;
}
