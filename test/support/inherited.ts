/** What a child process gets of this one's descriptors. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { text } from 'node:stream/consumers';

import { expect } from 'vitest';

const O_CLOEXEC = 0o2000000;

// Print where each of their own descriptors leads, one a line.
const LIST = 'for fd in /proc/self/fd/*; do readlink "$fd"; done; true';
const NODE_LIST = `
  const fs = require('node:fs');
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try { console.log(fs.readlinkSync('/proc/self/fd/' + fd)); } catch {}
  }`;

const LAST_STANDARD = 2;

export interface Descriptor {
  target: string;
  closesOnExec: boolean;
}

/** All descriptors of this process but the standard ones, which children share on purpose. */
export function ownDescriptors(): Descriptor[] {
  const own: Descriptor[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    if (Number(fd) <= LAST_STANDARD) continue;
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      const info = readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8');
      const flags = Number.parseInt(/^flags:\s*(\d+)$/m.exec(info)![1]!, 8);
      own.push({ target, closesOnExec: (flags & O_CLOEXEC) !== 0 });
    } catch {
      // The descriptor that listed the directory.
    }
  }
  return own;
}

/** What a program prints that is started now, with this process's stdin and stderr. */
async function output(command: string, args: string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'inherit'] });
  const [printed] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return printed;
}

/**
 * Fails where a program that is started now has anything that this process opened lately.
 *
 * @param before - what was open then, by whomever
 * @param kinds - what this process must have open for the test to mean anything
 */
export async function expectNothingInherited(
  before: readonly Descriptor[],
  kinds: RegExp[],
): Promise<void> {
  // Other tests in the same process may open /dev/null meanwhile, as the programs do.
  const known = new Set(['/dev/null', ...before.map(({ target }) => target)]);
  const own = ownDescriptors().filter(({ target }) => !known.has(target));
  const targets = own.map(({ target }) => target);
  for (const kind of kinds) expect(targets.join('\n')).toMatch(kind);
  expect(own.filter(({ closesOnExec }) => !closesOnExec)).toEqual([]);

  for (const [command, args] of [
    ['ls', ['-l', '/proc/self/fd']],
    ['sh', ['-c', LIST]],
    [process.execPath, ['--eval', NODE_LIST]],
  ] as const) {
    const printed = await output(command, [...args]);
    expect(printed).toMatch(/socket:|pipe:/); // its stdout at least
    expect(targets.filter((target) => printed.includes(target))).toEqual([]);
  }
}
