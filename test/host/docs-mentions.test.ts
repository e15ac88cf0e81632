/** Commands that the documents mention in a sentence, or in a manifest, are there, and so are their options. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, it } from 'vitest';

import { runCli } from '../support/cli.js';
import { DOCUMENTS, ROOT } from '../support/docs/blocks.js';

/** What stands between backticks, or in a list of YAML, and calls the command. */
function mentions(): Map<string, { document: string; words: string[] }> {
  const found = new Map<string, { document: string; words: string[] }>();
  for (const document of DOCUMENTS) {
    const text = readFileSync(path.join(ROOT, document), 'utf8');
    const inline = [...text.matchAll(/`(?:npx )?devmem-tcp ([a-z][^`\n]*)`/g)];
    const listed = [...text.matchAll(/\[devmem-tcp, ([^\]]+)\]/g)];
    for (const [, line] of inline) found.set(line!, { document, words: line!.split(/[ =]/) });
    for (const [, line] of listed) {
      found.set(line!, { document, words: line!.replaceAll("'", '').split(', ') });
    }
  }
  return found;
}

describe.each([...mentions()])('devmem-tcp %s', (_, { document, words }) => {
  const [command = '', ...rest] = words;

  it(`is what ${document} says`, async () => {
    // A list of subcommands, as of 'nic plan', is one word of help.
    const { status, stdout, stderr } = await runCli([command, '--help']);
    expect(status, stderr).toBe(0);
    const options = rest.filter((word) => word.startsWith('--') && word !== '--help');
    for (const option of options) expect(stdout).toMatch(new RegExp(`${option}\\b`));
  });
});
