/** What the documents list is what there is in the source, no more and no less. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { getSystemErrorMap } from 'node:util';

import { expect, it } from 'vitest';

import { DEVMEM_ERRORS, NODE_ERRORS } from '../../dist/index.js';
import { ROOT } from '../support/docs/blocks.js';

const read = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

/** All of src/ts. */
const SOURCE = readdirSync(path.join(ROOT, 'src/ts'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => read(`src/ts/${name}`))
  .join('\n');

/** What a pattern's group catches in a text, each once, sorted. */
function all(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, caught]) => caught!))].sort();
}

/** What the rows of a document's tables begin with, where that looks so. */
function rows(document: string, looks: RegExp): string[] {
  return [...read(document).matchAll(/^\| (`.+?) \|/gm)]
    .flatMap(([, cell]) => all(cell!, /`([^`]+)`/g))
    .filter((name) => looks.test(name))
    .sort();
}

it('docs/errors.md has every code of this package, once', () => {
  expect(rows('docs/errors.md', /^ERR_DEVMEM_/)).toEqual(Object.keys(DEVMEM_ERRORS).sort());
});

it("and every one of Node's, once", () => {
  expect(rows('docs/errors.md', /^ERR_(?!DEVMEM_)/)).toEqual(Object.keys(NODE_ERRORS).sort());
});

it('the source knows no other codes', () => {
  expect(all(SOURCE, /\b(ERR_DEVMEM_[A-Z_]*[A-Z])\b/g)).toEqual(Object.keys(DEVMEM_ERRORS).sort());
});

it('docs/errors.md and docs/troubleshooting.md name system errors as Node.js does', () => {
  const known = new Set([...getSystemErrorMap().values()].map(([name]) => name));
  const named = ['docs/errors.md', 'docs/troubleshooting.md', 'docs/zcrx.md'].flatMap((document) =>
    rows(document, /^E(?!RR_)[A-Z]+$/),
  );
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});

it('docs/errors.md has every warning', () => {
  expect(rows('docs/errors.md', /^DEVMEM_/)).toEqual(all(SOURCE, /code: '(DEVMEM_[A-Z_]+)'/g));
});

it('docs/sockets.md has every diagnostics channel', () => {
  expect(rows('docs/sockets.md', /^devmem-tcp:/)).toEqual(
    all(SOURCE, /channel\(\s*'(devmem-tcp:[a-z-]+)'/g),
  );
});

it('docs/sockets.md names messages by types that are exported', () => {
  const exported = read('src/ts/index.ts');
  for (const name of all(read('docs/sockets.md'), /`(\w+Message)`/g)) {
    expect(exported).toContain(name);
  }
});
