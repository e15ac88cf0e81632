/** The package as `npm install git+…` makes it of a repository. */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { hostTarget, prebuildOf } from '../../scripts/prebuild/targets.mjs';
import { mustRun, npm, type Outcome, ROOT, run } from './support/run.js';
import { temporaryFolder } from './support/tarball.js';

const BINARY = prebuildOf(hostTarget()!);

let base: string;
/** The working tree as a repository, committed. */
let clone: string;

beforeAll(async () => {
  base = temporaryFolder();
  clone = path.join(base, 'clone');
  const git = (...args: string[]) => mustRun('git', args, { cwd: clone });
  const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  const files = spawnSync('git', list, { cwd: ROOT, encoding: 'utf8' }).stdout.split('\0');
  for (const file of files.filter((name) => name !== '' && existsSync(path.join(ROOT, name)))) {
    cpSync(path.join(ROOT, file), path.join(clone, file));
  }
  await git('init', '--quiet');
  await git('add', '--all');
  const identity = ['-c', 'user.name=nobody', '-c', 'user.email=nobody@localhost'];
  await git(...identity, 'commit', '--quiet', '--message', 'all');
});

afterAll(() => {
  rmSync(base, { recursive: true });
});

/** A PATH whose `make` puts the binary there that was built before. */
function pathWithMake(): string {
  const folder = path.join(base, 'bin');
  mkdirSync(folder);
  const folderMade = 'build/Release';
  const copy = `mkdir -p ${folderMade} && cp '${path.join(ROOT, BINARY)}' ${folderMade}/devmem_tcp.node`;
  const script = `#!/bin/sh\ncase $* in *--version*|*-v*) ;; *) ${copy} ;; esac\n`;
  writeFileSync(path.join(folder, 'make'), script, { mode: 0o755 });
  return `${folder}${path.delimiter}${process.env.PATH}`;
}

describe('npm install git+…', () => {
  it('builds what a repository does not have, once its scripts may run', async () => {
    await mustRun(process.execPath, [path.join(ROOT, 'scripts/prebuild.mjs')], { cwd: ROOT });
    const consumer = path.join(base, 'consumer');
    mkdirSync(consumer);
    writeFileSync(path.join(consumer, 'package.json'), '{"private":true,"type":"module"}');
    const env = { ...process.env, PATH: pathWithMake() };
    await npm(['install', '--prefer-offline', `git+file://${clone}`], { cwd: consumer, env });

    const installed = path.join(consumer, 'node_modules/devmem-tcp');
    expect(existsSync(path.join(installed, BINARY))).toBe(true);
    expect(existsSync(path.join(installed, 'src/native/binding.gyp'))).toBe(true);
    copyFileSync(path.join(ROOT, 'test/package/programs/receive.mjs'), `${consumer}/receive.mjs`);
    const received = await run(process.execPath, ['receive.mjs'], { cwd: consumer });
    expect(received.stderr).toBe('');
    expect(JSON.parse(received.stdout)).toMatchObject({ whole: true });
  });
});

describe('the script that does so', () => {
  const inClone = (...names: string[]): string => path.join(clone, ...names);

  beforeAll(() => symlinkSync(path.join(ROOT, 'node_modules'), inClone('node_modules')));

  function prepare(startedIn: string): Promise<Outcome> {
    // Nothing that compiles, nor anything else.
    const env = { PATH: base, HOME: base, INIT_CWD: startedIn };
    return run(process.execPath, ['scripts/prepare.mjs'], { cwd: clone, env });
  }

  it('does nothing for npm ci in a clone', async () => {
    for (const startedIn of [clone, inClone('src', 'ts')]) {
      const outcome = await prepare(startedIn);
      expect(outcome).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    }
    expect(['dist', 'prebuilds', 'build'].filter((name) => existsSync(inClone(name)))).toEqual([]);
  });

  it('builds all but the binary where there is no compiler, and then nothing again', async () => {
    const { status, stderr } = await prepare(base);
    expect(status, stderr).toBe(0);
    expect(stderr).toContain('prepare: no binary: it takes a C++20 compiler, make and Python 3');
    expect(existsSync(inClone('dist/index.js'))).toBe(true);
    expect(existsSync(inClone('prebuilds'))).toBe(false);

    const again = await prepare(base);
    expect(again).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
  });
});
