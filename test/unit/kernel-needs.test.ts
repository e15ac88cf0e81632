/** What `devmem-tcp kernel` tells of a kernel. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { bundledSeries } from '../../dist/kernel/bundled.js';
import { kernelNeeds } from '../../dist/kernel/needs.js';
import { MARKS, SERIES } from '../../dist/kernel/series.js';
import { FIXES, LEAST_STABLE } from '../../dist/kernel/stable-fixes.js';
import { generator } from '../support/random.js';

const KERNEL = fileURLToPath(new URL('../../kernel', import.meta.url));
const RUNNING = { urgentFixed: false, seriesApplied: false };

describe('the series', () => {
  const names = SERIES.map(({ name }) => name).sort();

  it('are those of kernel/patches, but for what is proposed on top of one', () => {
    const folders = readdirSync(path.join(KERNEL, 'patches')).sort();
    const onTop = (folder: string): boolean => names.some((name) => folder.startsWith(`${name}-`));
    expect(folders.filter((folder) => !onTop(folder))).toEqual(names);
  });

  it('are in the table of kernel/README.md, each for its version', () => {
    const readme = readFileSync(path.join(KERNEL, 'README.md'), 'utf8');
    const rows = [...readme.matchAll(/^\| ([\d.]+) \|.*\[patches\/(linux-[\d.]+)\]/gm)];
    expect(rows.map(([, version, name]) => ({ version, name }))).toEqual(
      SERIES.map(({ name, version: { major, minor } }) => ({
        version: `${major}.${minor}`,
        name,
      })),
    );
    for (const { against } of SERIES) expect(readme).toContain(against);
  });

  it.for(names)('%s lacks no patch that its subjects count, and each has a subject', (name) => {
    const { folder, patches } = bundledSeries(name);
    const subjects = patches.map(({ file }) =>
      /^Subject: \[PATCH (\d+)\/(\d+)\]/m.exec(readFileSync(path.join(folder, file), 'utf8')),
    );
    expect(subjects.map((match) => [Number(match?.[1]), Number(match?.[2])])).toEqual(
      patches.map((_, index) => [index + 1, patches.length]),
    );
    for (const { subject } of patches) expect(subject).toMatch(/^[\w,:/ -]+: \S.*\w/);
  });

  it.for(names)('%s adds the functions by which a running kernel is told to have it', (name) => {
    const { folder, patches } = bundledSeries(name);
    const text = patches.map(({ file }) => readFileSync(path.join(folder, file), 'utf8')).join('');
    const added = (mark: string): boolean => new RegExp(`^\\+.*\\b${mark}\\(`, 'm').test(text);
    const { mark } = SERIES.find((series) => series.name === name)!;
    expect([...Object.values(MARKS), mark].filter((each) => !added(each))).toEqual([]);
  });
});

describe('a kernel that runs', () => {
  const release = '6.12.117+deb12-amd64';

  it.for([
    [release, 'Nothing is to be done.'],
    ['6.1.192', 'nothing is to be done; if from those of an earlier one'],
  ] as const)('that has its series needs nothing, if it is of this release: %s', ([of, words]) => {
    const needs = kernelNeeds(of, { urgentFixed: true, seriesApplied: true });
    expect(needs.series?.applied).toBe('all');
    expect(needs.advice.join(' ')).toContain(words);
  });

  it('is told how much of it it has, where it tells', () => {
    const has = (urgentFixed?: boolean, seriesApplied?: boolean) =>
      kernelNeeds(release, { urgentFixed, seriesApplied }).series?.applied;
    expect(has(false, false)).toBe('none');
    expect(has(true, false)).toBe('some');
    expect(has()).toBe('unknown');
    expect(kernelNeeds(release).series?.applied).toBe('unknown');
  });

  it('has modules for it built against its own headers, another against those named', () => {
    expect(kernelNeeds(release, RUNNING).devmemsimCommands[1]).toContain('"$(uname -r)"/build');
    expect(kernelNeeds(release).devmemsimCommands[1]).toContain(`/lib/modules/${release}/build`);
  });
});

describe('a release', () => {
  it.for([
    ['6.1.192', 'linux-6.1'],
    ['6.12.85-1-lts', 'linux-6.12'],
    ['7.3.4+deb13-cloud-amd64', 'linux-7'],
  ] as const)('%s takes %s, from where it lies', ([release, name]) => {
    const { series, applyCommands } = kernelNeeds(release);
    expect(series?.name).toBe(name);
    expect(series!.patches.every(({ file }) => existsSync(path.join(series!.folder, file)))).toBe(
      true,
    );
    expect(applyCommands[0]).toBe(`cat ${series!.folder}/*.patch | patch -p1`);
  });

  it('below 6.12 without a series cannot be made to receive', () => {
    const needs = kernelNeeds('6.6.30');
    expect(needs).toMatchObject({ receivePath: false, series: null, devmemsimCommands: [] });
    expect(needs.advice[0]).toBe(
      'Linux 6.6 has no receive path, and there are no patches that add it.',
    );
  });

  it('between those with a series is dangerous as they are, and told so', () => {
    const needs = kernelNeeds('6.18.2');
    expect(needs).toMatchObject({ receivePath: true, series: null, applyCommands: [] });
    expect(needs.advice.join(' ')).toContain('there is no series for Linux 6.18');
    expect(needs.advice.join(' ')).toContain('drop urgent data');
  });

  it('of a distribution that mends its kernel itself may refuse patches', () => {
    const needs = kernelNeeds('6.12.0-55.el10.x86_64');
    expect(needs.missingStableFixes).toBeNull();
    expect(needs.advice.join(' ')).toContain('may refuse some');
  });

  it('that is none is told so', () => {
    const needs = kernelNeeds('$(reboot)');
    expect(needs).toMatchObject({ receivePath: null, series: null, devmemsimCommands: [] });
    expect(needs.advice[0]).toContain("'$(reboot)' is no release of Linux");
  });

  it('is quoted where it could be read by a shell', () => {
    const commands = kernelNeeds("6.12.1'; reboot #").devmemsimCommands.join('\n');
    expect(commands).toContain("KDIR=/lib/modules/'6.12.1'\\''; reboot #'/build");
  });

  it('of any number is answered by its tables', () => {
    const seed = Number(process.env.DEVMEM_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const random = generator(seed);
    for (let round = 0; round < 500; round++) {
      const [major, minor, stable] = [5 + random(4), random(22), random(130)];
      const release = `${major}.${minor}.${stable}`;
      const needs = kernelNeeds(release);
      const said = { seed, ...needs };
      const newer = major > 6 || (major === 6 && minor >= 12);
      expect(said).toMatchObject({ seed, release, receivePath: newer });
      const ofVersion = SERIES.find(({ against }) => against.startsWith(`${major}.${minor}.`));
      expect(needs.series?.name).toBe(ofVersion?.name);
      expect(needs.advice.length).toBeGreaterThan(0);
      expect(needs.devmemsimCommands.length > 0).toBe(newer || ofVersion !== undefined);
      const lacking = FIXES.filter((fix) => fix.stable > stable);
      expect(needs.missingStableFixes).toEqual(major === 6 && minor === 12 ? lacking : null);
    }
    expect(kernelNeeds(`6.12.${LEAST_STABLE}`).missingStableFixes).toEqual([]);
  });
});
