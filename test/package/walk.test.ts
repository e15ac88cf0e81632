/**
 * A newcomer's walk: a clone, what the README has them run there; then a project of their
 * own, the first program, the doctor. Commands and programs are the README's own.
 */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { findBlock } from '../support/docs/blocks.js';
import { commandsOf } from '../support/docs/commands.js';
import { FIRST_PRINTS } from '../support/docs/receiving.js';
import { makeRepository } from './support/repository.js';
import { type Outcome, ROOT, run } from './support/run.js';
import { packDependencies, packProject, temporaryFolder } from './support/tarball.js';

const README = readFileSync(path.join(ROOT, 'README.md'), 'utf8');

let base: string;

beforeAll(() => {
  base = temporaryFolder();
});

afterAll(() => {
  rmSync(base, { recursive: true });
});

/** Runs a command in a shell, as somebody who has just logged in. */
function inShell(cwd: string, command: string): Promise<Outcome> {
  const { PATH } = process.env;
  // Nothing is had from a registry.
  const npm = { npm_config_offline: 'true', npm_config_update_notifier: 'false' };
  return run('sh', ['-c', command], { cwd, env: { PATH, HOME: base, ...npm } });
}

/** The same of what has to succeed; what it printed. */
async function succeed(cwd: string, command: string): Promise<string> {
  const { status, stdout, stderr } = await inShell(cwd, command);
  expect(status, `${command}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** The command without the comment behind it. */
const withoutComment = (command: string): string => command.replace(/\s+#.*$/s, '');

/** What the README says within a sentence. */
function quoted(pattern: RegExp): string {
  const [, command] = pattern.exec(README) ?? [];
  if (command === undefined) throw new Error(`the README has nothing like ${pattern}`);
  return command;
}

const VERIFIED = /^ +transport +copy:[^]*^ +verified +every byte$/m;

describe('a clone', () => {
  const [cloning = '', demo = '', lab = ''] = commandsOf(findBlock('README.md', 'git clone'));
  let clone: string;

  beforeAll(async () => {
    const repository = path.join(base, 'repository');
    await makeRepository(repository);
    // The README has no address, which whoever publishes the package fills in.
    const address = `${repository} devmem-tcp`;
    const printed = await succeed(base, `${cloning.replace('…', address)} && pwd`);
    clone = printed.trim();
    // What a first build takes most of its time for, which is tested elsewhere: the registry's
    // packages, and the binary. The rest is made of the clone's own files.
    mkdirSync(path.join(clone, 'node_modules'));
    for (const name of readdirSync(path.join(ROOT, 'node_modules'))) {
      symlinkSync(path.join(ROOT, 'node_modules', name), path.join(clone, 'node_modules', name));
    }
    cpSync(path.join(ROOT, 'build/Release'), path.join(clone, 'build/Release'), {
      recursive: true,
    });
  });

  it('holds all that its build needs: its demo is a verified stream', async () => {
    expect(demo).toMatch(/^npm run demo\b/);
    const { status, stdout, stderr } = await inShell(clone, demo);
    expect(status, stderr).toBe(0);
    // "builds what is missing, then a verified stream"
    expect(stderr).toBe('setup: building TypeScript\n');
    expect(stdout).toMatch(VERIFIED);
  });

  it('builds once', async () => {
    const { status, stderr } = await inShell(clone, 'node scripts/setup.mjs');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('tells of the lab, which the next command boots', async () => {
    const option = /^npm run demo -- (--lab)\b/.exec(lab)?.[1];
    expect(await succeed(clone, `${withoutComment(demo)} -- --help`)).toContain(`  ${option} `);
    expect(await succeed(clone, 'npm run lab -- --help')).toContain('npm run lab');
  });
});

describe('a project', () => {
  const commands = commandsOf(findBlock('README.md', 'npm install devmem-tcp'));
  let project: string;

  beforeAll(async () => {
    project = path.join(base, 'project');
    mkdirSync(project);
    const packed = [await packProject(base), ...(await packDependencies(base))];
    const [install = ''] = commands;
    expect(withoutComment(install)).toBe('npm install devmem-tcp');
    // As written, but for where the packages come from.
    await succeed(project, install.replace('devmem-tcp', packed.join(' ')));
  });

  it('runs the commands behind installing', async () => {
    const [, ...others] = commands;
    expect(others.length).toBeGreaterThan(0);
    for (const command of others) expect(await succeed(project, command)).toMatch(VERIFIED);
  });

  it('has the first program, which prints what the README says', async () => {
    const command = quoted(/`(node first\.mjs)`/);
    const program = findBlock('README.md', 'net.connect(').text;
    writeFileSync(path.join(project, command.replace('node ', '')), program);
    expect(await succeed(project, command)).toBe(FIRST_PRINTS);
  });

  it('is told by the doctor what the machine lacks, and what mends it', async () => {
    const { status, stdout, stderr } = await inShell(project, quoted(/`(npx devmem-tcp doctor)`/));
    expect(stderr).toBe('');
    // Nobody's machine lacks nothing but one with such a NIC.
    expect(status).toBe(/^ +missing /m.test(stdout) ? 1 : 0);
    for (const part of ['kernel', 'memory', 'privilege']) {
      expect(stdout).toMatch(new RegExp(`^${part}$`, 'm'));
    }
  });

  it('is told where the lab is: in a clone', async () => {
    const { status, stderr } = await inShell(project, 'npx devmem-tcp lab');
    expect(status).toBe(64);
    expect(stderr).toContain("In the clone it is 'npm run lab -- COMMAND'");
    expect(quoted(/clone of this repository boots one: `(npm run demo -- --lab)`/)).toBeDefined();
  });
});
