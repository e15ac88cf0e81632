/** Which system calls this process makes, as strace(1) sees them. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const hasStrace = spawnSync('strace', ['-V']).status === 0;

/** Calls about fragments of device memory. */
export interface FragmentCalls {
  /** recvmsg() with control messages */
  told: number;
  /** setsockopt(SO_DEVMEM_DONTNEED) */
  dontneed: number;
  /** ioctl(DEVMEM_QUEUE_FLUSH) */
  flush: number;
}

// By name, or by number where strace does not know it.
const DONTNEED = /setsockopt\(\d+, SOL_SOCKET, (SO_DEVMEM_DONTNEED|0x50\b|80\b)/g;
const TOLD = /recvmsg\(.*msg_control=\[/g;
const FLUSH = /ioctl\(\d+, _IO(C\(_IOC_NONE, 0xde, 0, 0\)|\(0xde, 0\))/g;

/** Counts those of all threads of this process during an action. */
export async function countFragmentCalls(action: () => Promise<void>): Promise<FragmentCalls> {
  const file = path.join(mkdtempSync(path.join(tmpdir(), 'strace-')), 'calls');
  const args = [
    '-f',
    '-e',
    'trace=recvmsg,setsockopt,ioctl',
    '-o',
    file,
    '-p',
    String(process.pid),
  ];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(strace, 'exit');
  const attached = once(strace.stderr, 'data').then(([said]) => String(said));
  try {
    if (!(await attached).includes('attached')) throw new Error(`strace: ${await attached}`);
    await action();
  } finally {
    strace.kill('SIGINT');
    await exited;
  }
  const calls = readFileSync(file, 'utf8');
  const count = (pattern: RegExp): number => [...calls.matchAll(pattern)].length;
  return { told: count(TOLD), dontneed: count(DONTNEED), flush: count(FLUSH) };
}
