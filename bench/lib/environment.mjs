// @ts-check
/** What figures were measured on, and of what. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {object} Environment
 * @property {string} date        when, ISO 8601
 * @property {string} commit      of this repository; '-dirty' where files had changed
 * @property {string} cpu
 * @property {number} cpus
 * @property {number} memoryGiB
 * @property {string} kernel      release
 * @property {string} node
 * @property {string} v8
 * @property {string} compiler    of the reference programs
 * @property {number} load        of the machine, over the last minute, before it began
 */

/** @returns {Environment} */
export function describeEnvironment() {
  return {
    date: new Date().toISOString(),
    commit: commit(),
    cpu: cpuName(),
    cpus: os.availableParallelism(),
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
    v8: process.versions.v8,
    compiler: firstLine(process.env.CC ?? 'cc', '--version'),
    load: Number((os.loadavg()[0] ?? 0).toFixed(2)),
  };
}

function cpuName() {
  const [, name] = /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? [];
  return name ?? os.arch();
}

function commit() {
  const hash = firstLine('git', 'rev-parse', '--short=12', 'HEAD');
  // The results themselves change with every run.
  const changed = firstLine('git', 'status', '--porcelain', '--', '.', ':!bench/results');
  return changed === '' ? hash : `${hash}-dirty`;
}

/**
 * @param {string} command
 * @param {...string} args
 */
function firstLine(command, ...args) {
  try {
    const cwd = fileURLToPath(new URL('../..', import.meta.url));
    const output = execFileSync(command, args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return output.split('\n')[0] ?? '';
  } catch {
    return 'unknown';
  }
}
