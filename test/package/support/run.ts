/** Runs programs to their end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

/** The working tree. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** How a program ended and what it said. */
export interface Outcome {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd: string;
  env?: NodeJS.ProcessEnv;
}

export async function run(command: string, args: string[], options: RunOptions): Promise<Outcome> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const [[status, signal], stdout, stderr] = await Promise.all([
    ended,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { status, signal, stdout, stderr };
}

/** Runs a program that has to succeed; returns what it printed. */
export async function mustRun(
  command: string,
  args: string[],
  options: RunOptions,
): Promise<string> {
  const { status, signal, stdout, stderr } = await run(command, args, options);
  if (status === 0) return stdout;
  const end = signal ?? `status ${status ?? 'unknown'}`;
  throw new Error(`'${command} ${args.join(' ')}' ended with ${end}:\n${stdout}${stderr}`);
}

/** The script of the npm that belongs to this run; Node runs it without a shell. */
export function npmScript(): string {
  const names = (process.env.PATH ?? '').split(path.delimiter).map((dir) => path.join(dir, 'npm'));
  const candidates = [process.env.npm_execpath, ...names].filter((name) => name !== undefined);
  const scripts = candidates.filter((name) => existsSync(name)).map((name) => realpathSync(name));
  const found = scripts.find((name) => path.basename(name) === 'npm-cli.js');
  if (found === undefined) throw new Error('npm is not in PATH');
  return found;
}

/** Runs npm, which has to succeed; returns what it printed. */
export function npm(args: string[], options: RunOptions): Promise<string> {
  const quiet = ['--loglevel', 'error', '--no-audit', '--no-fund', '--no-update-notifier'];
  return mustRun(process.execPath, [npmScript(), ...args, ...quiet], options);
}
