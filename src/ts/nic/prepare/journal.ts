/**
 * What was changed on an interface, by whom, and what it was before: written down
 * before each change, so that it can be undone whatever becomes of the process.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import { DevmemError } from '../../errors.js';
import type { Rule } from '../ioctl/rxnfc.js';
import { namespaceId, type Owner } from './owner.js';
import type { SharedSetting, Value } from './settings.js';

/** A setting that was changed. The last preparation restores it. */
export interface SharedRecord {
  setting: SharedSetting;
  before: Value;
  /** What it was set to, or was about to be when the process ended; the newest last. */
  set: Value[];
}

/** A flow rule that was added. */
export interface RuleRecord {
  rule: Rule;
  /** Locations in use before: by them a rule is found whose location was not yet noted. */
  occupied: number[];
  location: number | null;
}

/** An RSS context that was made. */
export interface ContextRecord {
  table: number[];
  /** Contexts that there were before. */
  occupied: number[];
  context: number | null;
}

export interface Preparation {
  id: string;
  queues: number[];
  /** Null: it stays until it is asked to be undone. */
  owner: Owner | null;
  contexts: ContextRecord[];
  rules: RuleRecord[];
}

export interface Journal {
  version: 1;
  /** Settings do not outlive a boot. */
  boot: string;
  network: number;
  interface: string;
  index: number;
  shared: SharedRecord[];
  preparations: Preparation[];
}

export function emptyJournal(interfaceName: string, index: number): Journal {
  return {
    version: 1,
    boot: bootId(),
    network: namespaceId('net'),
    interface: interfaceName,
    index,
    shared: [],
    preparations: [],
  };
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/** Where an interface's journal and lock lie, without their extension. */
export function journalPath(directory: string, interfaceName: string, index: number): string {
  return join(directory, `nic-${namespaceId('net')}-${index}-${interfaceName}`);
}

/**
 * Reads a journal; an empty one where there is none, or one of before the last boot.
 *
 * @throws DevmemError ERR_DEVMEM_JOURNAL for a file that is none
 */
export function readJournal(path: string, interfaceName: string, index: number): Journal {
  let text: string;
  try {
    text = readFileSync(`${path}.json`, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return emptyJournal(interfaceName, index);
    throw error;
  }
  const journal = parseJournal(text, `${path}.json`);
  return journal.boot === bootId() ? journal : emptyJournal(interfaceName, index);
}

/** All journals of this network namespace. */
export function listJournals(directory: string): Journal[] {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const prefix = `nic-${namespaceId('net')}-`;
  return names
    .filter((name) => name.startsWith(prefix) && name.endsWith('.json'))
    .sort()
    .map((name) => parseJournal(readFileSync(join(directory, name), 'utf8'), join(directory, name)))
    .filter((journal) => journal.boot === bootId());
}

function parseJournal(text: string, file: string): Journal {
  try {
    const journal = JSON.parse(text) as Record<keyof Journal, unknown>;
    const whole =
      journal.version === 1 && Array.isArray(journal.shared) && Array.isArray(journal.preparations);
    if (whole) return journal as Journal;
  } catch {
    // No JSON: no journal either.
  }
  throw new DevmemError(
    'ERR_DEVMEM_JOURNAL',
    `${file} is not a journal of this version of devmem-tcp. Restore with the version that wrote it, or look at what it says, undo that with ethtool, and remove it`,
  );
}

/**
 * Writes the journal so that a crash leaves the old one or the new one. Without
 * preparations and changes there is nothing to keep: the file goes.
 */
export function writeJournal(path: string, journal: Journal): void {
  const file = `${path}.json`;
  if (journal.preparations.length === 0 && journal.shared.length === 0) {
    rmSync(file, { force: true });
    return;
  }
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    writeSync(fd, JSON.stringify(journal, null, 2));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, file);
  syncDirectory(join(path, '..'));
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
