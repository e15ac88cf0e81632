/** What the lab keeps outside the tree, and what it leaves behind there. */
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { beforeEach, describe, expect, it } from 'vitest';

import { keepNewest, publishFolder } from '../../kernel/lab/cache.mjs';

let home: string;

beforeEach(() => {
  home = fs.mkdtempSync(join(tmpdir(), 'lab-cache-'));
  return () => {
    fs.rmSync(home, { recursive: true });
  };
});

const filled = (folder: string): Promise<void> => {
  fs.writeFileSync(join(folder, 'vmlinuz'), 'a kernel');
  return Promise.resolve();
};

describe('a folder of the cache', () => {
  it('is there once it is complete, and nothing else is', async () => {
    let draft = '';
    await publishFolder(join(home, '7.3'), (folder) => {
      draft = folder;
      expect(fs.existsSync(join(home, '7.3'))).toBe(false);
      return filled(folder);
    });
    expect(fs.existsSync(draft)).toBe(false);
    expect(fs.readdirSync(home)).toEqual(['7.3']);
    expect(fs.readdirSync(join(home, '7.3'))).toEqual(['vmlinuz']);
  });

  it('is not there where making it fails', async () => {
    const made = publishFolder(join(home, '7.3'), async (folder) => {
      await filled(folder);
      throw new Error('out of space');
    });
    await expect(made).rejects.toThrow('out of space');
    expect(fs.readdirSync(home)).toEqual([]);
  });
});

describe('the newest folders', () => {
  it('stay, while older ones go, and drafts of makers who were killed', async () => {
    for (const [age, version] of ['7.3', '6.12', '6.1'].entries()) {
      await publishFolder(join(home, version), filled);
      const made = new Date(Date.now() - age * 1000);
      fs.utimesSync(join(home, version), made, made);
    }
    fs.mkdirSync(join(home, '.7.4.Xyz123'));
    await filled(join(home, '.7.4.Xyz123'));
    fs.writeFileSync(join(home, 'lock'), '');
    keepNewest(home, 2);
    expect(fs.readdirSync(home).sort()).toEqual(['6.12', '7.3', 'lock']);
  });
});
