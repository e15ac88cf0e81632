/** What a release takes, and the workflows that make it. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { prebuildOf, TARGETS } from '../../scripts/prebuild/targets.mjs';
import { releaseFaults } from '../../scripts/release/faults.mjs';
import { otherVersions, writeVersion } from '../../scripts/release/version.mjs';
import { tree } from '../support/machines.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const read = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  engines: { node: string };
  scripts: Record<string, string>;
};

describe('a release', () => {
  const whole: Record<string, string> = {
    'package.json': '{"version":"1.2.3","repository":"somewhere"}',
    'CHANGELOG.md': '# Changes\n\n## 1.2.3\n\n- …\n',
    'src/ts/version.ts': "export const VERSION = '1.2.3';\n",
    'src/native/version.h': 'inline constexpr char kVersion[] = "1.2.3";\n',
    ...Object.fromEntries(TARGETS.map((target) => [prebuildOf(target), 'binary'])),
  };

  it('that is whole is let through', () => {
    expect(releaseFaults(tree(whole))).toEqual([]);
  });

  it.for(TARGETS.map((target) => prebuildOf(target)))('lacks %s', (file) => {
    const others = Object.entries(whole).filter(([name]) => name !== file);
    expect(releaseFaults(tree(Object.fromEntries(others)))).toEqual([
      `${file} is missing: 'npm run prebuild -- --all'`,
    ]);
  });

  it('without notes, or without an address, is refused in words', () => {
    const lacking = { ...whole, 'package.json': '{"version":"1.2.3"}', 'CHANGELOG.md': '' };
    const [notes, repository, ...others] = releaseFaults(tree(lacking));
    expect(notes).toContain('CHANGELOG.md has no notes of 1.2.3');
    expect(repository).toContain('package.json has no repository');
    expect(others).toEqual([]);
  });

  it('whose sources tell another version is refused until that is written there', () => {
    const root = tree({
      ...whole,
      'package.json': '{"version":"1.3.0-rc.1","repository":"somewhere"}',
      'CHANGELOG.md': '\n## 1.3.0-rc.1\n',
    });
    expect(releaseFaults(root)).toEqual([
      "src/ts/version.ts tells another version: 'npm run release:version'",
      "src/native/version.h tells another version: 'npm run release:version'",
    ]);
    writeVersion(root);
    expect(releaseFaults(root)).toEqual([]);
  });

  it('of this tree would have sources of its version', () => {
    expect(otherVersions(ROOT)).toEqual([]);
  });
});

describe('the workflows', () => {
  const names = readdirSync(path.join(ROOT, '.github/workflows'));
  const all = names.map((name) => read(`.github/workflows/${name}`)).join('\n');

  it('run scripts that there are', () => {
    const used = [...all.matchAll(/\bnpm run ([\w:]+)/g)].map(([, name]) => name!);
    expect(used.length).toBeGreaterThan(4);
    expect(used.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([]);
    expect(all).toContain('.ci/run');
  });

  it('run on each Node.js that the package supports', () => {
    const matrices = [...all.matchAll(/^ +node: \[(.*)\]$/gm)].map(([, list]) => list);
    expect(matrices).toEqual(['20, 22, 24, 26', '20, 22, 24, 26']);
    expect(manifest.engines.node).toMatch(/^\^20\..* \|\| >=22\./);
  });

  it('give no job more rights than it needs', () => {
    for (const name of names) {
      expect(read(`.github/workflows/${name}`)).toMatch(/^permissions:\n {2}contents: read$/m);
    }
    expect(all.match(/id-token: write/g)).toHaveLength(1);
  });
});

it("every issue's form asks what the doctor says", () => {
  const folder = '.github/ISSUE_TEMPLATE';
  const forms = readdirSync(path.join(ROOT, folder)).filter((name) => name !== 'config.yml');
  expect(forms.length).toBeGreaterThan(0);
  for (const name of forms) expect(read(`${folder}/${name}`)).toMatch(/devmem-tcp doctor --json/);
});

it('what contributors are told to run is there', () => {
  const text = read('CONTRIBUTING.md');
  const used = [...text.matchAll(/\bnpm run ([\w:]+)/g)].map(([, name]) => name!);
  expect(used.filter((name) => !Object.hasOwn(manifest.scripts, name))).toEqual([]);
  const paths = [...text.matchAll(/`((?:src|kernel|test|scripts|\.github)\/[\w./-]+)`/g)];
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)\)/g)];
  const missing = [...paths, ...links].map(([, name]) => name!).filter((name) => !there(name));
  expect(missing).toEqual([]);
});

function there(name: string): boolean {
  const folder = path.join(ROOT, path.dirname(name));
  return readdirSync(folder).includes(path.basename(name));
}
