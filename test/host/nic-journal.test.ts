/** What a crash must not take along: the journal, and who may touch the interface. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { openDirectory, runtimeDirectory } from '../../dist/nic/prepare/directory.js';
import {
  emptyJournal,
  isAbout,
  type Journal,
  type JournaledLink,
  journalPath,
  listJournals,
  readJournal,
  writeJournal,
} from '../../dist/nic/prepare/journal.js';
import { withLock } from '../../dist/nic/prepare/lock.js';
import { mayLive, thisProcess } from '../../dist/nic/prepare/owner.js';
import { restoreInterfaces } from '../../dist/nic/restore.js';
import { thrownBy } from '../support/thrown.js';

const LOCKER = fileURLToPath(new URL('children/lock.mjs', import.meta.url));

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'devmem-tcp-journal-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const ETH1 = {
  index: 4711,
  name: 'eth1',
  parent: { name: '0000:3b:00.0', bus: 'pci' },
  permanentAddress: '525400123456',
};

function journal(link: JournaledLink = ETH1): Journal {
  const made = emptyJournal(link);
  made.preparations.push({ id: 'x', queues: [1], owner: null, contexts: [], rules: [] });
  return made;
}

/** Writes the journal where it belongs; returns its path without extension. */
function keep(kept: Journal): string {
  const path = journalPath(directory, kept.index);
  writeJournal(path, kept);
  return path;
}

describe('a journal', () => {
  it('is read as it was written, by its owner alone, and is one file', () => {
    keep(journal());
    const path = keep(journal());
    expect(readJournal(path)).toEqual(journal());
    expect(readdirSync(directory)).toHaveLength(1);
    expect(statSync(`${path}.json`).mode & 0o777).toBe(0o600);
    expect(listJournals(directory)).toEqual([journal()]);
  });

  it('goes when there is nothing left to restore', () => {
    keep(journal());
    const path = keep(emptyJournal(ETH1));
    expect(readdirSync(directory)).toEqual([]);
    expect(readJournal(path)).toBeUndefined();
  });

  it('of before the last boot is none, whatever version wrote it', () => {
    const path = keep({ ...journal(), boot: 'another' });
    expect(readJournal(path)).toBeUndefined();
    writeFileSync(`${path}.json`, '{"version": 1, "boot": "another"}');
    expect(listJournals(directory)).toEqual([]);
  });

  it.each(['', '{"version": 3}', '[]', 'null', '{"version": 2, "shared": []}', '{"version'])(
    'that says %j is refused by name',
    (text) => {
      const path = journalPath(directory, 4711);
      writeFileSync(`${path}.json`, text);
      const error = thrownBy(() => readJournal(path));
      expect(error).toMatchObject({ code: 'ERR_DEVMEM_JOURNAL' });
      expect(error.message).toContain(`${path}.json`);
    },
  );

  it('of an earlier version, which kept one for each name, is refused by name', async () => {
    const path = journalPath(directory, 4711);
    const { boot } = journal();
    const earlier = { version: 1, boot, interface: 'eth1', shared: [], preparations: [] };
    writeFileSync(`${path}-eth1.json`, JSON.stringify(earlier));
    expect(thrownBy(() => readJournal(path))).toMatchObject({ code: 'ERR_DEVMEM_JOURNAL' });
    const restoring = restoreInterfaces({ runtimeDirectory: directory });
    await expect(restoring).rejects.toThrow(`${path}-eth1.json is not a journal of this version`);
    expect(readJournal(journalPath(directory, 471))).toBeUndefined();
  });

  it('of an interface that is gone has nothing to restore, and goes', async () => {
    keep(journal({ ...ETH1, name: 'gone0', index: 2 ** 30 }));
    const [restored] = await restoreInterfaces({
      interface: 'gone0',
      runtimeDirectory: directory,
    });
    expect(restored).toMatchObject({ interface: 'gone0', settings: [{ outcome: 'unchanged' }] });
    expect(listJournals(directory)).toEqual([]);
  });

  it('of another interface that had the index before is of one that is gone', async () => {
    keep(journal({ ...ETH1, index: 1 }));
    const [restored] = await restoreInterfaces({ runtimeDirectory: directory });
    expect(restored?.settings[0]?.detail).toContain('eth1 is gone');
    expect(listJournals(directory)).toEqual([]);
  });

  it('is about the device that it was about, under whatever name', () => {
    expect(isAbout(journal(), ETH1)).toBe(true);
    expect(isAbout(journal(), { ...ETH1, name: 'lan0' })).toBe(true);
    for (const other of [
      { index: 4712 },
      { parent: undefined },
      { parent: { name: '0000:3b:00.1', bus: 'pci' } },
      { permanentAddress: '525400654321' },
      { permanentAddress: undefined },
    ]) {
      expect(isAbout(journal(), { ...ETH1, ...other }), JSON.stringify(other)).toBe(false);
    }
    const nothing = { index: 7, name: 'tun0', parent: undefined, permanentAddress: undefined };
    expect(isAbout(journal(nothing), nothing)).toBe(true);
    expect(isAbout(journal(nothing), { ...nothing, name: 'tun1' })).toBe(false);
  });

  it('that is asked for by a name that nothing has, or had, is missed', async () => {
    keep(journal());
    const restoring = restoreInterfaces({ interface: 'nosuch0', runtimeDirectory: directory });
    await expect(restoring).rejects.toMatchObject({ code: 'ENODEV' });
    expect(listJournals(directory)).toHaveLength(1);
  });
});

describe('the journal’s folder', () => {
  it('is made for its owner alone', () => {
    const path = join(directory, 'a', 'b');
    openDirectory(path);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    openDirectory(path);
  });

  it('may not be one that others can write to, nor a file', () => {
    const open = join(directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o770);
    expect(thrownBy(() => openDirectory(open))).toMatchObject({ code: 'ERR_DEVMEM_JOURNAL' });
    const file = join(directory, 'file');
    writeFileSync(file, '');
    expect(thrownBy(() => openDirectory(file))).toMatchObject({ code: 'ERR_DEVMEM_JOURNAL' });
  });

  it('is where argument, environment and user say, in this order', () => {
    const before = process.env.DEVMEM_TCP_RUNTIME_DIR;
    try {
      process.env.DEVMEM_TCP_RUNTIME_DIR = '/elsewhere';
      expect(runtimeDirectory('/here')).toBe('/here');
      expect(runtimeDirectory(undefined)).toBe('/elsewhere');
      delete process.env.DEVMEM_TCP_RUNTIME_DIR;
      if (process.geteuid?.() === 0) expect(runtimeDirectory(undefined)).toBe('/run/devmem-tcp');
    } finally {
      if (before !== undefined) process.env.DEVMEM_TCP_RUNTIME_DIR = before;
    }
  });
});

describe('an owner', () => {
  it('lives as long as the process with its pid and its start', async () => {
    expect(mayLive(thisProcess())).toBe(true);
    expect(mayLive({ ...thisProcess(), startTime: '1' })).toBe(false);
    const child = fork(LOCKER, [join(directory, 'lock')], { stdio: 'ignore' });
    await once(child, 'message');
    const { startTime } = thisProcess();
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    expect(mayLive({ ...thisProcess(), pid: child.pid!, startTime })).toBe(false);
  });

  it('in another pid namespace may live: nobody here can tell', () => {
    expect(mayLive({ ...thisProcess(), startTime: '1', pidNamespace: 1 })).toBe(true);
  });
});

describe('the lock', () => {
  it('lets one at a time in, also in one process', async () => {
    const path = join(directory, 'lock');
    let inside = 0;
    let most = 0;
    const enter = () =>
      withLock(path, async () => {
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setImmediate(resolve));
        inside--;
      });
    await Promise.all([enter(), enter(), enter()]);
    expect(most).toBe(1);
  });

  it('is free again after a failure', async () => {
    const path = join(directory, 'lock');
    const failing = withLock(path, () => Promise.reject(new Error('no')));
    await expect(failing).rejects.toThrow('no');
    expect(await withLock(path, async () => 'in')).toBe('in');
  });

  it('ends with the process that holds it, however that ends', async () => {
    const path = join(directory, 'lock');
    const child = fork(LOCKER, [path], { stdio: 'ignore' });
    await once(child, 'message');
    let entered = false;
    const waiting = withLock(path, async () => {
      entered = true;
    });
    expect(entered).toBe(false);
    child.kill('SIGKILL');
    await waiting;
    expect(entered).toBe(true);
  });
});
