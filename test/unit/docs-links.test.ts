/** Links of the documents lead to files that Git has, and to headings that are there. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { slug } from '../../site/slug.mjs';
import { ROOT } from '../support/docs/blocks.js';
import { anchorsOf, type Link, linksOf } from '../support/docs/links.js';

function git(...args: string[]): string[] {
  const { stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
  return stdout.split('\n').filter((name) => name !== '' && existsSync(path.join(ROOT, name)));
}

const FILES = git('ls-files', '--cached', '--others', '--exclude-standard');
const DOCUMENTS = FILES.filter((file) => file.endsWith('.md'));

const isThere = (target: string): boolean =>
  target === '.' || FILES.some((file) => file === target || file.startsWith(`${target}/`));

describe.each(DOCUMENTS)('%s', (document) => {
  it('links to what is there', () => {
    const dead = linksOf(document).filter(({ target }) => !isThere(target));
    expect(dead.map(({ href }) => href)).toEqual([]);
  });

  it('links to headings that are there', () => {
    const leadsNowhere = ({ target, anchor }: Link): boolean =>
      anchor !== '' && target.endsWith('.md') && isThere(target) && !anchorsOf(target).has(anchor);
    const dead = linksOf(document).filter(leadsNowhere);
    expect(dead.map(({ href }) => href)).toEqual([]);
  });
});

it('every document can be reached from the README', () => {
  const reached = new Set<string>();
  const visit = (document: string): void => {
    if (reached.has(document) || !DOCUMENTS.includes(document)) return;
    reached.add(document);
    for (const { target } of linksOf(document)) visit(target);
  };
  visit('README.md');
  const documents = DOCUMENTS.filter((file) => file.startsWith('docs/'));
  expect(documents.filter((document) => !reached.has(document))).toEqual([]);
});

it.each([
  ['Which to use when', 'which-to-use-when'],
  ['patches/linux-6.12', 'patcheslinux-612'],
  ['read, peek, skip', 'read-peek-skip'],
  ['nic.md: `devmem-tcp` & co.', 'nicmd-devmem-tcp--co'],
])('the anchor of %j is %j', (heading, anchor) => {
  expect(slug(heading)).toBe(anchor);
});
