// @ts-check
/** Child processes and files that cannot outlive the lab, however it ends. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { searchPath } from './process.mjs';

/**
 * Starts a program that the kernel kills when this process dies, SIGKILL included.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {import('node:child_process').StdioOptions} stdio
 * @returns {import('node:child_process').ChildProcess}
 */
export function startBound(program, args, stdio) {
  // detached: Ctrl-C reaches the lab alone, which then ends its children in order.
  return spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    stdio,
    detached: true,
    env: { ...process.env, PATH: searchPath() },
  });
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @returns {Promise<void>} once it is gone
 */
export async function endChild(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/**
 * Makes a temporary folder that is removed on demand, or when this process dies,
 * SIGKILL included: a child waits for its stdin to end, which either brings about.
 *
 * @param {string} prefix
 * @returns {{ path: string, remove: () => Promise<void> }}
 */
export function temporaryFolder(prefix) {
  const path = mkdtempSync(join(tmpdir(), prefix));
  const remover = spawn('sh', ['-c', 'cat; rm -rf -- "$1"', 'sh', path], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  const gone = new Promise((resolve) => remover.once('close', resolve));
  return {
    path,
    async remove() {
      remover.stdin.end();
      await gone;
    },
  };
}
