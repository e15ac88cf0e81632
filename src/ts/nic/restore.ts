/** Putting back what ended processes, and `devmem-tcp nic apply`, left set up. */
import { checkInterface, noInterface } from './interface-arguments.js';
import { findLink } from './netlink/link.js';
import { runtimeDirectory } from './prepare/directory.js';
import { isAbout, type Journal, listJournals } from './prepare/journal.js';
import { describeOwner, isLive } from './prepare/planning.js';
import { type Session, withJournal } from './prepare/session.js';
import { type RestoredSetting, undo } from './prepare/undo.js';

export interface RestoreOptions {
  /**
   * Only this interface, by any of its names, or the one that it was set up by. Default:
   * all of this network namespace.
   */
  interface?: string;
  /** As for prepareInterface(). */
  runtimeDirectory?: string;
}

/** What became of one preparation. */
export interface Restoration {
  readonly interface: string;
  readonly queues: readonly number[];
  /** Who made it, e.g. `process 4711`. */
  readonly madeBy: string;
  /** Whether that process still runs: then it was left alone. */
  readonly inUse: boolean;
  readonly settings: readonly RestoredSetting[];
  /** Why it could not be restored. */
  readonly error?: Error;
}

/**
 * Restores every preparation whose process has ended, and every one made to stay.
 *
 * @throws TypeError for a name that is none; SystemError ENODEV for one that nothing has
 * @throws DevmemError ERR_DEVMEM_JOURNAL, ERR_DEVMEM_LOCKED
 */
export async function restoreInterfaces(options: RestoreOptions = {}): Promise<Restoration[]> {
  const directory = runtimeDirectory(options.runtimeDirectory);
  const { interface: asked } = options;
  const journals = listJournals(directory);
  const chosen = asked === undefined ? journals : await journalsOf(asked, journals);
  const restorations: Restoration[] = [];
  for (const { index } of chosen) {
    restorations.push(...((await withJournal(directory, index, restoreAll)) ?? []));
  }
  return restorations;
}

// By any name that it has now; where none goes by that, by the one that it had.
async function journalsOf(asked: string, journals: readonly Journal[]): Promise<Journal[]> {
  const link = await findLink(checkInterface(asked));
  if (link !== undefined) return journals.filter((journal) => isAbout(journal, link));
  const former = journals.filter((journal) => journal.interface === asked);
  if (former.length === 0) throw await noInterface(asked);
  return former;
}

async function restoreAll(session: Session): Promise<Restoration[]> {
  const restorations: Restoration[] = [];
  // The newest first. When an interface is gone, the first takes all others along.
  for (const each of [...session.journal.preparations].reverse()) {
    const inUse = each.owner !== null && isLive(each);
    const restoration = {
      interface: session.name,
      queues: each.queues,
      madeBy: describeOwner(each),
      inUse,
      settings: [],
    };
    try {
      const settings = inUse ? [] : await undo(session, each);
      restorations.push({ ...restoration, settings });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      restorations.push({ ...restoration, error });
    }
  }
  return restorations;
}
