/** A journal under its lock: what changing an interface and undoing that share. */
import { noInterface } from '../interface-arguments.js';
import { getLink, type Link } from '../netlink/link.js';
import { getRss } from '../netlink/rss.js';
import { openDirectory } from './directory.js';
import {
  emptyJournal,
  isAbout,
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
  /** As it is called now; where it is gone, as it was. */
  readonly name: string;
  readonly index: number;
  /** Whether the interface that the journal is about is still there. */
  readonly present: boolean;
  readonly journal: Journal;
  /** Writes the journal; returns when it lies on the disk. */
  save: () => void;
}

/**
 * Runs `body` with the journal of an interface that is to be set up, while nobody else
 * changes the interface. A journal of one that had its index before, and is gone, is none.
 *
 * @throws SystemError ENODEV where the interface is gone meanwhile
 */
export async function withInterface<T>(
  directory: string,
  asked: Link,
  body: (session: Session, link: Link) => Promise<T>,
): Promise<T> {
  return locked(directory, asked.index, async (path) => {
    const link = await getLink(asked.index);
    if (link === undefined) throw await noInterface(asked.name);
    const found = readJournal(path);
    const journal = found !== undefined && isAbout(found, link) ? found : emptyJournal(link);
    return body(sessionOf(path, journal, link), link);
  });
}

/**
 * Runs `body` with what the journal of an index says, while nobody else changes the
 * interface.
 *
 * @returns undefined where there is no journal
 */
export async function withJournal<T>(
  directory: string,
  index: number,
  body: (session: Session) => Promise<T>,
): Promise<T | undefined> {
  return locked(directory, index, async (path) => {
    const journal = readJournal(path);
    if (journal === undefined) return undefined;
    const link = await getLink(index);
    const same = link !== undefined && isAbout(journal, link);
    return body(sessionOf(path, journal, same ? link : undefined));
  });
}

async function locked<T>(
  directory: string,
  index: number,
  body: (path: string) => Promise<T>,
): Promise<T> {
  openDirectory(directory);
  const path = journalPath(directory, index);
  return withLock(`${path}.lock`, () => body(path));
}

function sessionOf(path: string, journal: Journal, link: Link | undefined): Session {
  const name = link?.name ?? journal.interface;
  journal.interface = name;
  const save = (): void => writeJournal(path, journal);
  return { name, index: journal.index, present: link !== undefined, journal, save };
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
