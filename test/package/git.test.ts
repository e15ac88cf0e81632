/** The package as `npm install git+…` makes it of a repository. */
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { hostTarget, prebuildOf } from '../../scripts/prebuild/targets.mjs';
import { makeRepository } from './support/repository.js';
import { npm, type Outcome, ROOT, run } from './support/run.js';
import { temporaryFolder } from './support/tarball.js';

const BINARY = prebuildOf(hostTarget()!);

// It installs what building takes, and compiles.
const PATIENCE_MS = 900_000;

let base: string;
/** The working tree as a repository, committed. */
let clone: string;

beforeAll(async () => {
  base = temporaryFolder();
  clone = path.join(base, 'clone');
  await makeRepository(clone);
});

afterAll(() => {
  rmSync(base, { recursive: true });
});

describe('npm install git+…', () => {
  it(
    'builds what a repository does not have, the binary too, once its scripts may run',
    async () => {
      const consumer = path.join(base, 'consumer');
      mkdirSync(consumer);
      writeFileSync(path.join(consumer, 'package.json'), '{"private":true,"type":"module"}');
      await npm(['install', '--prefer-offline', `git+file://${clone}`], { cwd: consumer });

      const installed = path.join(consumer, 'node_modules/devmem-tcp');
      expect(existsSync(path.join(installed, BINARY))).toBe(true);
      expect(existsSync(path.join(installed, 'src/native/binding.gyp'))).toBe(true);
      copyFileSync(path.join(ROOT, 'test/package/programs/receive.mjs'), `${consumer}/receive.mjs`);
      const received = await run(process.execPath, ['receive.mjs'], { cwd: consumer });
      expect(received.stderr).toBe('');
      expect(JSON.parse(received.stdout)).toMatchObject({ whole: true });
    },
    PATIENCE_MS,
  );
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
    expect(existsSync(inClone('dist/bundle/index.js'))).toBe(true);
    expect(existsSync(inClone('prebuilds'))).toBe(false);

    const again = await prepare(base);
    expect(again).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
  });
});
