// @ts-check
/**
 * The cache outside the working tree: kernels, module builds, apt's private state.
 *
 * Two rules keep it whole while labs run side by side: a folder appears under its
 * final name only when complete (made beside it, then renamed), and whoever makes
 * something holds a lock on that thing.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

import { LabError, messageOf } from './report.mjs';

/** @returns {string} `$DEVMEM_TCP_CACHE`, or devmem-tcp under the XDG cache folder */
export function cacheRoot() {
  if (process.env.DEVMEM_TCP_CACHE) return resolve(process.env.DEVMEM_TCP_CACHE);
  const home = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return join(home, 'devmem-tcp');
}

/**
 * Makes a folder that is either there and complete, or not there. The caller holds a
 * lock on it: drafts that lie about are of makers who were killed.
 *
 * @template T
 * @param {string} target where it will lie; must not exist yet
 * @param {(folder: string) => Promise<T>} fill puts the content into a temporary folder
 * @returns {Promise<T>}
 */
export async function publishFolder(target, fill) {
  const [parent, draftPrefix] = [dirname(target), `.${basename(target)}.`];
  mkdirSync(parent, { recursive: true });
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(draftPrefix))) {
    rmSync(join(parent, name), { recursive: true });
  }
  const draft = mkdtempSync(join(parent, draftPrefix));
  try {
    const result = await fill(draft);
    renameSync(draft, target);
    return result;
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * Removes all but the newest folders. Not only the newest is kept, because a lab that
 * started a while ago may still use the one before. Drafts go, too: the caller holds the
 * lock on all that lies there, and they are of makers who were killed.
 *
 * @param {string} parent
 * @param {number} count
 */
export function keepNewest(parent, count) {
  const folders = readdirSync(parent, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ name, path: join(parent, name) }));
  const isDraft = (/** @type {{ name: string }} */ { name }) => name.startsWith('.');
  const made = (/** @type {{ path: string }} */ { path }) => statSync(path).mtimeMs;
  const whole = folders.filter((folder) => !isDraft(folder)).sort((a, b) => made(b) - made(a));
  for (const { path } of [...folders.filter(isDraft), ...whole.slice(count)]) {
    rmSync(path, { recursive: true });
  }
}

/**
 * Runs `body` while no other process does so under the same lock file.
 *
 * The lock is flock(2)'s, held by a child that waits for its stdin to end. So it
 * goes away with this process however that ends, and no lock is ever stale.
 *
 * @template T
 * @param {string} file
 * @param {() => Promise<T>} body
 * @param {() => void} [onWait] called once when someone else holds the lock
 * @returns {Promise<T>}
 */
export async function withLock(file, body, onWait) {
  mkdirSync(dirname(file), { recursive: true });
  const holder = spawn('flock', ['--exclusive', file, 'sh', '-c', 'echo; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => holder.once('close', resolve).once('error', resolve));
  const waiting = setTimeout(() => onWait?.(), 300);
  try {
    await new Promise((resolve, reject) => {
      holder.stdout.once('data', resolve);
      holder.once('error', reject);
      holder.once('exit', (code) => reject(new Error(`status ${code}`)));
    }).catch((/** @type {unknown} */ error) => {
      throw new LabError(`cannot lock ${file}: ${messageOf(error)}`);
    });
    clearTimeout(waiting);
    return await body();
  } finally {
    clearTimeout(waiting);
    holder.stdin.end();
    // Whoever blocks the event loop next must not keep the lock.
    await ended;
  }
}
