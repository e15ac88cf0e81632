/** What the tarball carries, and what tools say of it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Consumer } from './support/consumer.js';
import { mustRun, ROOT } from './support/run.js';

const TOOLS = path.join(ROOT, 'node_modules');

let consumer: Consumer;
/** Its files, as paths with slashes. */
let files: string[];

beforeAll(async () => {
  consumer = await Consumer.create();
  files = filesBelow(consumer.installed);
});

afterAll(() => {
  consumer[Symbol.dispose]();
});

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

const text = (file: string): string => readFileSync(path.join(consumer.installed, file), 'utf8');

interface Manifest {
  license: string;
  scripts: Record<string, string>;
}

const manifest = (): Manifest => JSON.parse(text('package.json')) as Manifest;

describe('the tarball', () => {
  it('carries the code, a prebuild, the native sources, the kernel side and the documents', () => {
    const expected = [
      ...['dist/bundle/index.js', 'dist/index.d.ts', 'dist/bundle/cli.js'],
      `prebuilds/linux-${process.arch}/devmem-tcp.glibc.node`,
      ...['src/native/addon.cc', 'src/native/binding.gyp', 'src/native/gather/cuda_gather_ptx.h'],
      ...['kernel/LICENSE', 'kernel/README.md', 'kernel/devmemsim/Kbuild'],
      'kernel/patches/linux-6.12/0000-cover-letter.patch',
      ...['LICENSE', 'README.md', 'CHANGELOG.md', 'docs/cli.md', 'package.json'],
    ];
    const there = new Set(files);
    expect(expected.filter((name) => !there.has(name))).toEqual([]);
  });

  it('carries nothing else: what Git tracks and users need, and what the build makes of it', () => {
    const list = ['ls-files', '--cached', '--others', '--exclude-standard'];
    const tracked = new Set(
      spawnSync('git', list, { cwd: ROOT, encoding: 'utf8' }).stdout.split('\n'),
    );
    const kept =
      /^(package\.json|LICENSE|(README|CHANGELOG)\.md|docs\/.*\.(md|svg)|bench\/results\/[\w-]+\.svg|kernel\/(LICENSE|(README|reproduced)\.md|(devmemsim|patches)\/.*)|src\/native\/.*\.(cc|h))$/;
    const belongs = (file: string): boolean => {
      if (kept.test(file)) return tracked.has(file);
      if (/^dist\/bundle\/[\w-]+\.js$/.test(file)) return true;
      const compiled = /^dist\/(.+?)(\.d\.ts|\.js)$/.exec(file);
      if (compiled !== null) return tracked.has(`src/ts/${compiled[1]}.ts`);
      if (file === 'src/native/binding.gyp') return true;
      return /^prebuilds\/linux-\w+\/devmem-tcp\.(glibc|musl)\.node$/.test(file);
    };
    expect(files.filter((file) => !belongs(file))).toEqual([]);
  });

  it('is small', () => {
    const size = (file: string): number => statSync(path.join(consumer.installed, file)).size;
    const binaries = files.filter((file) => file.endsWith('.node'));
    const others = files.filter((file) => !file.endsWith('.node'));
    expect(binaries.filter((file) => size(file) > 1.25 * 2 ** 20)).toEqual([]);
    expect(others.reduce((sum, file) => sum + size(file), 0)).toBeLessThan(2.5 * 2 ** 20);
    expect(statSync(consumer.tarball).size).toBeLessThan(2 * 2 ** 20);
  });

  it('runs nothing when it is installed', () => {
    // npm asks about prepare too, where the tarball does not come from a registry.
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare'];
    const { scripts } = manifest();
    expect(hooks.filter((name) => name in scripts)).toEqual([]);
    expect(existsSync(path.join(consumer.installed, 'binding.gyp'))).toBe(false);
  });

  it('satisfies publint', async () => {
    const args = [path.join(TOOLS, 'publint', 'src', 'cli.js'), consumer.tarball, '--strict'];
    await mustRun(process.execPath, args, { cwd: ROOT });
  });

  it('has types that every module resolution of ESM finds', async () => {
    const attw = path.join(TOOLS, '@arethetypeswrong', 'cli', 'dist', 'index.js');
    const args = [attw, '--profile', 'esm-only', '--no-definitely-typed', consumer.tarball];
    await mustRun(process.execPath, args, { cwd: ROOT });
  });
});

describe('licences', () => {
  const isKernelCode = (file: string): boolean => /^kernel\/(patches|devmemsim)\//.test(file);

  it('what is linked and run is MIT', () => {
    expect(manifest().license).toBe('MIT');
    expect(text('LICENSE')).toMatch(/^MIT License\n/);
    expect(text('LICENSE')).not.toContain('GPL');
    const gpl = files
      .filter((file) => /^(dist|src)\//.test(file) && text(file).includes('SPDX-License'))
      .filter((file) => text(file).includes('SPDX-License-Identifier: GPL'));
    expect(gpl).toEqual([]);
  });

  it('each file of the kernel code says that it is GPL-2.0', () => {
    const silent = files
      .filter(isKernelCode)
      .filter((file) => !/^\W*(\w+ )?SPDX-License-Identifier: GPL-2\.0\b/m.test(text(file)));
    expect(silent).toEqual([]);
    expect(text('kernel/LICENSE')).toContain('SPDX-License-Identifier: GPL-2.0');
    expect(text('kernel/LICENSE')).toContain('GNU GENERAL PUBLIC LICENSE');
  });

  it('in patches where git leaves it out of the commit', () => {
    const patches = files.filter((file) => /\/(?!0000)\d{4}-.*\.patch$/.test(file));
    expect(patches.filter((file) => !text(file).includes('\n---\nSPDX-License'))).toEqual([]);
  });
});

describe('the documents in the tarball', () => {
  // What is about developing, which takes a clone.
  const CLONE =
    /^((ARCHITECTURE|CONTRIBUTING|SECURITY)\.md|(bench|examples|kernel\/lab|src|test)(\/.*)?)$/;

  it('link to what is there, and for developing to what a clone has', () => {
    const dead = files
      .filter((file) => file.endsWith('.md'))
      .flatMap((file) =>
        [...text(file).matchAll(/\]\((?!https?:|#)([^)\s#]+)/g)].map(([, link]) => ({
          file,
          link: path.normalize(path.join(path.dirname(file), link!)).replace(/\/$/, ''),
        })),
      )
      .filter(({ link }) => !existsSync(path.join(consumer.installed, link)))
      .filter(({ link }) => !(CLONE.test(link) && existsSync(path.join(ROOT, link))));
    expect(dead).toEqual([]);
  });
});
