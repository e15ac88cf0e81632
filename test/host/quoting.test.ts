/** What is printed to be copied into a shell is the name again there, and nothing else. */
import { execFileSync, spawnSync } from 'node:child_process';

import { describe, expect, it } from 'vitest';

import { printable, shellWord, singleQuoted } from '../../dist/nic/quoting.js';
import { itWhere } from '../support/conditions.js';
import { generator } from '../support/random.js';

const PIECES = [
  ...Array.from('abz09._-+@%:=,/~#!*?[]{}()<>|&;$`"\'\\ ^'),
  '$(id)',
  '${HOME}',
  '\x07',
  '\x1b[31m',
  '\x7f',
  '\t',
  '\x9b1m',
  '\u202e',
  'ü',
  '名',
  '\\x41',
];

/** Names that the kernel could have, and others, by seed. */
const names = Array.from({ length: 1000 }, (_, seed) => {
  const random = generator(seed + 1);
  return Array.from({ length: 1 + random(8) }, () => PIECES[random(PIECES.length)]!).join('');
});

/** The words as the shell reads them. */
function readBy(shell: string, words: readonly string[]): string[] {
  const script = `printf '%s\\0' ${words.join(' ')}`;
  return execFileSync(shell, ['-c', script], { encoding: 'utf8' }).split('\0').slice(0, -1);
}

const bash = spawnSync('bash', ['-c', 'true']).status === 0;

describe('a word of a command', () => {
  itWhere(bash, 'no bash here')('is read back by bash as what it was', async () => {
    expect(readBy('bash', names.map(shellWord))).toEqual(names);
  });

  it('is read back by any shell, where nothing in it controls a terminal', () => {
    const plain = names.filter((name) => printable(name) === name);
    expect(plain.length).toBeGreaterThan(300);
    expect(readBy('sh', plain.map(shellWord))).toEqual(plain);
    expect(readBy('sh', plain.map(singleQuoted))).toEqual(plain);
  });

  it('has nothing in it that controls a terminal', () => {
    const control = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
    for (const name of names) {
      expect(shellWord(name), JSON.stringify(name)).not.toMatch(control);
      expect(printable(name), JSON.stringify(name)).not.toMatch(control);
    }
  });

  it('stays as it is where it may', () => {
    for (const name of ['eth0', 'eth0.100', 'br-1a2b3c4d5e6f', 'enp59s0f0np0', 'v@1', '/run/a']) {
      expect(shellWord(name)).toBe(name);
    }
    expect(shellWord('x;reboot')).toBe("'x;reboot'");
    expect(shellWord("q'q")).toBe("'q'\\''q'");
    expect(shellWord('b\x1b[31mred')).toBe("$'b\\x1b[31mred'");
    expect(printable('b\x1b[31mred')).toBe('b\\x1b[31mred');
  });
});
