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
import { basename, dirname, join } from 'node:path';

import { DevmemError } from '../../errors.js';
import type { Rule } from '../ioctl/rxnfc.js';
import type { Link } from '../netlink/link.js';
import type { Owner } from './owner.js';
import { bootId, namespaceId } from './proc.js';
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

/** What tells an interface from another one that gets its index. */
export type Identity = Pick<Link, 'parent' | 'permanentAddress'>;

export interface Journal {
  version: 2;
  /** Settings do not outlive a boot. */
  boot: string;
  network: number;
  index: number;
  /** As it was called when this was written last. */
  interface: string;
  device: Identity;
  shared: SharedRecord[];
  preparations: Preparation[];
}

export type JournaledLink = Identity & Pick<Link, 'index' | 'name'>;

export function emptyJournal(link: JournaledLink): Journal {
  const { index, name, parent, permanentAddress } = link;
  return {
    version: 2,
    boot: bootId(),
    network: namespaceId('net'),
    index,
    interface: name,
    device: { parent, permanentAddress },
    shared: [],
    preparations: [],
  };
}

/**
 * Whether the link is what the journal is about. An index stays with its interface
 * whatever that is called, and goes to another one only where somebody asks for it, or a
 * network namespace ends and a new one has its number.
 */
export function isAbout(journal: Journal, link: JournaledLink): boolean {
  const { parent, permanentAddress } = journal.device;
  if (journal.index !== link.index || permanentAddress !== link.permanentAddress) return false;
  if (parent?.bus !== link.parent?.bus || parent?.name !== link.parent?.name) return false;
  // Where nothing is known of the device, the name has to do.
  return parent !== undefined || permanentAddress !== undefined || journal.interface === link.name;
}

/**
 * Where an interface's journal and lock lie, without their extension: by its index, as
 * it may have several names, and others tomorrow.
 */
export function journalPath(directory: string, index: number): string {
  return join(directory, `nic-${namespaceId('net')}-${index}`);
}

/**
 * Reads a journal; undefined where there is none, or one of before the last boot.
 *
 * @throws DevmemError ERR_DEVMEM_JOURNAL for a file that is none, and where an earlier
 *   version left some: one for each name that the interface was set up by
 */
export function readJournal(path: string): Journal | undefined {
  const own = `${basename(path)}-`;
  for (const name of filesIn(dirname(path))) {
    if (name.startsWith(own) && name.endsWith('.json')) readFile(join(dirname(path), name));
  }
  return readFile(`${path}.json`);
}

/** All journals of this network namespace. */
export function listJournals(directory: string): Journal[] {
  const file = new RegExp(`^nic-${namespaceId('net')}-(\\d+)(?:-.*)?\\.json$`, 's');
  const indexes = filesIn(directory).flatMap((name) => file.exec(name)?.[1] ?? []);
  return [...new Set(indexes.map(Number))]
    .sort((a, b) => a - b)
    .map((index) => readJournal(journalPath(directory, index)))
    .filter((journal) => journal !== undefined);
}

function filesIn(directory: string): string[] {
  return orNone(() => readdirSync(directory)) ?? [];
}

function readFile(file: string): Journal | undefined {
  const text = orNone(() => readFileSync(file, 'utf8'));
  return text === undefined ? undefined : parseJournal(text, file);
}

/** Undefined where the file or folder is not there. */
function orNone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseJournal(text: string, file: string): Journal | undefined {
  const journal = parseObject(text);
  // What another version wrote before the last boot counts for nothing either.
  if (typeof journal?.boot === 'string' && journal.boot !== bootId()) return undefined;
  if (isJournal(journal)) return journal;
  throw new DevmemError(
    'ERR_DEVMEM_JOURNAL',
    `${file} is not a journal of this version of devmem-tcp. Restore with the version that wrote it, or look at what it says, undo that with ethtool, and remove it`,
  );
}

type Unchecked = Partial<Record<keyof Journal, unknown>>;

function parseObject(text: string): Unchecked | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function isJournal(journal: Unchecked | undefined): journal is Journal {
  return (
    journal?.version === 2 &&
    typeof journal.index === 'number' &&
    typeof journal.device === 'object' &&
    Array.isArray(journal.shared) &&
    Array.isArray(journal.preparations)
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
  syncDirectory(dirname(path));
}

function syncDirectory(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
