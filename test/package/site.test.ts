/** The documentation's site, as `npm run docs` makes it: VitePress fails at pages that are not there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DOCUMENTS } from '../support/docs/blocks.js';
import { Folder } from '../support/unix.js';
import { mustRun, ROOT } from './support/run.js';

// It installs the generator, and renders a page for each export.
const PATIENCE_MS = 900_000;

let folder: Folder;
/** Their HTML, by file. */
let pages: Map<string, string>;

beforeAll(async () => {
  folder = new Folder();
  const script = path.join(ROOT, 'scripts/docs.mjs');
  await mustRun(process.execPath, [script, 'build', '--outDir', folder.path], { cwd: ROOT });
  const files = readdirSync(folder.path, { recursive: true, encoding: 'utf8' });
  pages = new Map(
    files
      .filter((file) => file.endsWith('.html'))
      .map((file) => [file, readFileSync(folder.file(file), 'utf8')]),
  );
}, PATIENCE_MS);

afterAll(() => {
  folder[Symbol.dispose]();
});

describe('the site', () => {
  it('has a page for each document, and one for each export', () => {
    const expected = DOCUMENTS.map((document) =>
      document.replace(/README\.md$/, 'index.md').replace(/\.md$/, '.html'),
    );
    expected.push('docs/api/functions/bindRx.html', 'docs/api/classes/DevmemSocket.html');
    expect(expected.filter((file) => !pages.has(file))).toEqual([]);
  });

  it('links to pages and headings that are there', () => {
    const dead: string[] = [];
    for (const [file, html] of pages) {
      for (const [, href] of html.matchAll(/<a\b[^>]*? href="((?:\/|#)[^"]*)"/g)) {
        const [target = '', anchor] = decodeURI(href!).split('#');
        const name = target === '' ? file : target.slice(1).replace(/(^|\/)$/, '$1index.html');
        const there = pages.get(name);
        if (there === undefined && existsSync(folder.file(name))) continue;
        if (there === undefined || (anchor && !there.includes(` id="${anchor}"`))) {
          dead.push(`${file}: ${href}`);
        }
      }
    }
    expect(dead).toEqual([]);
  });

  it('shows the data path on its first page', () => {
    const picture = /<img src="([^"]+)" alt="The NIC writes payload/.exec(pages.get('index.html')!);
    expect(picture?.[1]).toMatch(/^(data:image\/svg\+xml|\/assets\/)/);
  });
});
