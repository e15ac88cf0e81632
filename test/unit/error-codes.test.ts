/** The documented codes are those that the source throws, no more and no less. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { DEVMEM_ERRORS, NODE_ERRORS } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

const SOURCES = fileURLToPath(new URL('../../src/ts', import.meta.url));
const DIST = fileURLToPath(new URL('../../dist', import.meta.url));

function textsBelow(folder: string, ending: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return new Map(
    names
      .filter((name) => name.endsWith(ending))
      .map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]),
  );
}

/** What follows the tables of codes counts, not the tables. */
function withoutTables(text: string): string {
  return text.replaceAll(/^export const (DEVMEM|NODE)_ERRORS = \{[\s\S]*?^\} as const;$/gm, '');
}

const source = [...textsBelow(SOURCES, '.ts').values()].map(withoutTables).join('\n');

/** The codes that are given to an error: by its class, by a subclass, or by withCode(). */
function thrown(): string[] {
  const by = /(?:DevmemError\(|super\(|withCode\((?:[^;]|\n)*?,)\s*'(ERR_\w+)'/g;
  const chosen = /\? '(ERR_DEVMEM_\w+)' : '(ERR_DEVMEM_\w+)'/g;
  const codes = [...source.matchAll(by), ...source.matchAll(chosen)].flatMap((match) =>
    match.slice(1),
  );
  return [...new Set(codes)].sort();
}

describe('the documented codes', () => {
  it('are those that are thrown', () => {
    expect(thrown()).toEqual(Object.keys({ ...DEVMEM_ERRORS, ...NODE_ERRORS }).sort());
  });

  it('are all that the source names with this prefix', () => {
    const named = [...source.matchAll(/\bERR_DEVMEM_\w+/g)].map(([code]) => code);
    expect([...new Set(named)].filter((code) => !(code in DEVMEM_ERRORS))).toEqual([]);
  });

  it('each say in sentences what they mean', () => {
    const texts = Object.values({ ...DEVMEM_ERRORS, ...NODE_ERRORS });
    expect(texts.filter((text) => !/^\S.+\w\S*\.$/.test(text))).toEqual([]);
  });
});

it('no declaration says any', () => {
  const declarations = [...textsBelow(DIST, '.d.ts')];
  expect(declarations.length).toBeGreaterThan(100);
  const code = (text: string): string => text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'/g, '');
  const saying = declarations.filter(([, text]) => /\bany\b/.test(code(text)));
  expect(saying.map(([name]) => name)).toEqual([]);
});
