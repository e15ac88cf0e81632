/** Links of the documents, and the anchors that they may lead to. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { slug } from '../../../site/slug.mjs';
import { ROOT } from './blocks.js';

export interface Link {
  /** The document that has it, from the root of the tree. */
  document: string;
  /** As it is written there. */
  href: string;
  /** Where it leads, from the root of the tree. */
  target: string;
  /** Without '#'; '' for none. */
  anchor: string;
}

/** A document without its blocks of code. */
function prose(document: string): string {
  const text = readFileSync(path.join(ROOT, document), 'utf8');
  return text.replaceAll(/^([ >]*)(```+)[^]*?^\1\2$/gm, '');
}

/** The links, and pictures, of a document that lead to files of the tree. */
export function linksOf(document: string): Link[] {
  const text = prose(document).replaceAll(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"\s]+)"/g)]
    .map(([, markdown, html]) => (markdown ?? html)!)
    .filter((href) => !/^[a-z]+:/.test(href))
    .map((href): Link => {
      const [file = '', anchor = ''] = href.split('#');
      const target = file === '' ? document : path.join(path.dirname(document), file);
      return { document, href, target: target.replace(/\/$/, ''), anchor };
    });
}

/** The anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(document: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of prose(document).matchAll(/^ {0,3}#{1,6} (.+)$/gm)) {
    const anchor = slug(heading!.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').replaceAll('`', ''));
    let unique = anchor;
    for (let n = 1; anchors.has(unique); n++) unique = `${anchor}-${n}`;
    anchors.add(unique);
  }
  return anchors;
}
