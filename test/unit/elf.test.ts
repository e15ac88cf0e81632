/** Whether a binary is whole is seen by its headers, before it is mapped. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { lengthOfElf } from '../../dist/elf.js';
import { ROOT } from '../support/docs/blocks.js';
import { generator } from '../support/random.js';
import { Folder } from '../support/unix.js';

const ADDON = path.join(ROOT, 'build/Release/devmem_tcp.node');

let folder: Folder;
let file: string;

beforeAll(() => {
  folder = new Folder();
  file = folder.file('file');
});

afterAll(() => {
  folder[Symbol.dispose]();
});

describe('an ELF file', () => {
  it('that is whole has as many bytes as its headers say, or more', () => {
    for (const whole of [ADDON, process.execPath]) {
      expect(lengthOfElf(whole)).toBeLessThanOrEqual(statSync(whole).size);
      expect(lengthOfElf(whole)).toBeGreaterThan(1000);
    }
  });

  it('that was stripped is whole too', () => {
    execFileSync('objcopy', ['--strip-all', ADDON, file]);
    expect(lengthOfElf(file)).toBeLessThanOrEqual(statSync(file).size);
  });

  it('lacks bytes wherever it is cut', () => {
    const seed = Number(process.env.DEVMEM_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const random = generator(seed);
    const length = lengthOfElf(ADDON)!;
    copyFileSync(ADDON, file);
    for (let left = length - 1; left >= 64; left -= 1 + random(Math.ceil(length / 100))) {
      truncateSync(file, left);
      expect(lengthOfElf(file), `${left} bytes left, seed ${seed}`).toBeGreaterThan(left);
    }
  });

  it('without a table of sections is as long as its segments', () => {
    const bytes = readFileSync(ADDON);
    bytes.fill(0, 40, 48); // e_shoff
    bytes.fill(0, 58, 64); // e_shentsize, e_shnum, e_shstrndx
    writeFileSync(file, bytes);
    const length = lengthOfElf(file)!;
    expect(length).toBeGreaterThan(1000);
    expect(length).toBeLessThan(lengthOfElf(ADDON)!);
  });

  it('whose headers are damaged is told of, whatever is in them', () => {
    const seed = Number(process.env.DEVMEM_SEED ?? Math.floor(Math.random() * 2 ** 31));
    const random = generator(seed);
    const header = readFileSync(ADDON).subarray(0, 4096);
    for (let round = 0; round < 200; round++) {
      const bytes = Buffer.from(header);
      for (let at = 32; at < 64; at++) bytes[at] = random(256);
      writeFileSync(file, bytes);
      const length = lengthOfElf(file)!;
      expect(length >= 0, `${length}, seed ${seed}`).toBe(true);
    }
  });
});

it.for([
  ['nothing', ''],
  ['a script', '#!/bin/sh\nexit\n'.repeat(10)],
  ['the first bytes of an ELF file', '\x7fELF'],
  ['one of 32 bits', `\x7fELF\x01\x01${'\0'.repeat(100)}`],
])('%s has no length of which this knows', ([, text]) => {
  writeFileSync(file, text!, 'latin1');
  expect(lengthOfElf(file)).toBeUndefined();
});
