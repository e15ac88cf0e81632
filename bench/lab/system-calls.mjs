// @ts-check
/**
 * Counting the system calls of this thread: by the kernel's tracing (raw_syscalls), or by
 * strace on a kernel without it. Each call costs more meanwhile, by strace a great deal: no
 * measure of time.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const TRACING = '/sys/kernel/tracing';
const EVENT = `${TRACING}/events/raw_syscalls/sys_enter`;

/**
 * @template T
 * @typedef {{ value: T, calls: number }} Counted
 */

/**
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<Counted<T>>}
 */
export function countCalls(action) {
  return existsSync(TRACING) ? countByTracing(action) : countByStrace(action);
}

/**
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<Counted<T>>}
 */
async function countByTracing(action) {
  if (!existsSync(EVENT)) execFileSync('mount', ['-t', 'tracefs', 'nodev', TRACING]);
  // The main thread's number is the process's.
  const trigger = `hist:keys=common_pid if common_pid == ${process.pid}`;
  writeFileSync(`${EVENT}/trigger`, trigger);
  try {
    const before = hits();
    const value = await action();
    return { value, calls: hits() - before };
  } finally {
    writeFileSync(`${EVENT}/trigger`, `!${trigger}`);
  }
}

function hits() {
  const said = readFileSync(`${EVENT}/hist`, 'utf8');
  return Number(/Hits: (\d+)/.exec(said)?.[1] ?? 0);
}

/**
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<Counted<T>>}
 */
async function countByStrace(action) {
  const summary = path.join(mkdtempSync(path.join(tmpdir(), 'strace-')), 'summary');
  // Without -f: the main thread alone.
  const args = ['-c', '-U', 'calls,name', '-o', summary, '-p', String(process.pid)];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(strace, 'exit');
  await once(strace.stderr, 'data');
  /** @type {T} */
  let value;
  try {
    value = await action();
  } finally {
    strace.kill('SIGINT');
    await exited;
  }
  const [, calls] = /^ *(\d+) total$/m.exec(readFileSync(summary, 'utf8')) ?? [];
  return { value, calls: Number(calls) };
}
