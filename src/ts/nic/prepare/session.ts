/** A journal under its lock: what changing an interface and undoing that share. */
import { native } from '../../native.js';
import { getRss } from '../netlink/rss.js';
import { openDirectory } from './directory.js';
import {
  type Journal,
  journalPath,
  readJournal,
  type SharedRecord,
  writeJournal,
} from './journal.js';
import { withLock } from './lock.js';
import type { Surroundings } from './planning.js';
import { rxQueueCount, SETTINGS, type SharedSetting, type Value } from './settings.js';

/** An interface whose lock is held, and its journal. */
export interface Session {
  readonly name: string;
  readonly index: number;
  readonly journal: Journal;
  /** Writes the journal; returns when it lies on the disk. */
  save: () => void;
}

/** Runs `body` with the interface's journal, while nobody else changes the interface. */
export async function withSession<T>(
  directory: string,
  name: string,
  index: number,
  body: (session: Session) => Promise<T>,
): Promise<T> {
  openDirectory(directory);
  const path = journalPath(directory, name, index);
  return withLock(`${path}.lock`, async () => {
    const journal = readJournal(path, name, index);
    const save = (): void => writeJournal(path, journal);
    return body({ name, index, journal, save });
  });
}

/** The record of a shared setting. */
export function recordOf(journal: Journal, setting: SharedSetting): SharedRecord | undefined {
  return journal.shared.find((each) => each.setting === setting);
}

/** What the RSS table depends on now. */
export async function surroundings(
  session: Session,
  setting: SharedSetting,
): Promise<Surroundings> {
  const record = recordOf(session.journal, setting);
  if (setting !== 'rss') return { queues: 0, tableSize: 0, record };
  const rss = await getRss(session.name);
  const queues = await rxQueueCount(session.name);
  return { queues, tableSize: rss?.table.length ?? 0, record };
}

/**
 * Writes a setting and reads it back.
 *
 * @throws SystemError, or an Error where the driver took it and did something else
 */
export async function writeVerified(
  name: string,
  setting: SharedSetting,
  value: Value,
  same: (now: Value) => boolean,
): Promise<void> {
  const access = SETTINGS[setting];
  await access.write(name, value);
  const now = await access.read(name);
  if (now !== undefined && same(now)) return;
  const told = now === undefined ? 'nothing' : access.show(now);
  throw new Error(`the driver accepted ${access.show(value)}, and reading it back gave ${told}`);
}

/** Whether an interface of the name is still the one with the index. */
export function isPresent(name: string, index: number): boolean {
  return native().interfaceIndex(name) === index;
}
