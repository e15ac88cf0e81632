/** The blocks of code in the documents, and in what the sources say of themselves. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The working tree. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

export const DOCUMENTS = [
  'README.md',
  ...readdirSync(path.join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const SOURCES = readdirSync(path.join(ROOT, 'src/ts'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => `src/ts/${name}`);

export interface Block {
  /** The document or source, from the root of the tree. */
  document: string;
  language: string;
  text: string;
}

// In a list, a quotation or a comment each line of a block begins as its fence does.
const BLOCK = /^([ >*]*)```(\w+)\n([\s\S]*?)^\1```$/gm;

/** The blocks in any of the languages, in all documents and sources. */
export function blocks(...languages: string[]): Block[] {
  return [...DOCUMENTS, ...SOURCES]
    .flatMap((document) => {
      const source = readFileSync(path.join(ROOT, document), 'utf8');
      return [...source.matchAll(BLOCK)].map(([, indent, language, text]): Block => {
        const lines = text!.split('\n').map((line) => line.slice(indent!.length));
        return { document, language: language!, text: lines.join('\n') };
      });
    })
    .filter(({ language }) => languages.includes(language));
}

/** The one block of a document that has the words. */
export function findBlock(document: string, words: string): Block {
  const all = blocks('ts', 'js', 'sh');
  const [found, ...others] = all.filter(
    (each) => each.document === document && each.text.includes(words),
  );
  if (found === undefined) throw new Error(`${document} has no block with '${words}'`);
  if (others.length > 0) throw new Error(`${document} has several blocks with '${words}'`);
  return found;
}
