/** Programs of the tests: those that watch what comes and tell of it in the end, and how one ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Milliseconds that a program has to end in. */
const PATIENCE = 20_000;

export interface Watched {
  /** Packets. */
  seen: number;
  /** Bytes of the longest one. */
  longest: number;
  /** Packets that could not be told of, of those who know. */
  lost?: number;
}

/** Waits until a program has ended; how, in words. */
export async function ending(program: ChildProcess): Promise<string> {
  if (program.exitCode === null && program.signalCode === null) await once(program, 'exit');
  return program.signalCode ?? `exit status ${String(program.exitCode)}`;
}

/** Runs a program that watches, here or at the peer, while `action` runs; what it saw. */
export async function watch(
  watcher: readonly string[],
  action: () => Promise<void>,
  command: readonly string[] = ['python3'],
): Promise<Watched> {
  const [first, ...args] = [...command, ...watcher];
  const program = spawn(first!, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const lines = createInterface({ input: program.stdout });
    await once(lines, 'line');
    await action();
    const last = once(lines, 'line');
    program.stdin.end();
    const [line] = (await last) as [string];
    return JSON.parse(line) as Watched;
  } finally {
    // What it has set up it takes down by itself.
    program.stdin.end();
    const killer = setTimeout(() => program.kill('SIGKILL'), PATIENCE);
    await ending(program);
    clearTimeout(killer);
  }
}
