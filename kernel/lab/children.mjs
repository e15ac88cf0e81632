// @ts-check
/** Child processes and files that cannot outlive the lab, however it ends. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync } from 'node:fs';
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
 * Runs a tool that starts others, such as make, with its output at the end of a file.
 * Where this process dies, all of them are ended, SIGKILL included: a child that waits
 * for its stdin to end sees to it. A signal to the tool alone would not reach the rest.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} log
 * @returns {Promise<number>} exit status, or 128 where a signal ended the tool
 */
export async function runLogged(program, args, log) {
  const file = openSync(log, 'a');
  // detached: a process group of its own, whose number is the tool's process id.
  const tool = spawn(program, args, {
    stdio: ['ignore', file, file],
    detached: true,
    env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
  });
  closeSync(file);
  const closed = once(tool, 'close');
  const guard = spawn('sh', ['-c', 'cat; kill -s KILL -- "-$1"', 'sh', String(tool.pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  try {
    const [code] = /** @type {[number | null]} */ (await closed);
    return code ?? 128;
  } finally {
    // The number may soon be another group's.
    await endChild(guard);
  }
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
