/** Putting back what ended processes, and `devmem-tcp nic apply`, left set up. */
import { runtimeDirectory } from './prepare/directory.js';
import { listJournals } from './prepare/journal.js';
import { describeOwner, isLive } from './prepare/planning.js';
import { type Session, withSession } from './prepare/session.js';
import { type RestoredSetting, undo } from './prepare/undo.js';

export interface RestoreOptions {
  /** Only this interface. Default: all of this network namespace. */
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
 * @throws DevmemError ERR_DEVMEM_JOURNAL, ERR_DEVMEM_LOCKED
 */
export async function restoreInterfaces(options: RestoreOptions = {}): Promise<Restoration[]> {
  const directory = runtimeDirectory(options.runtimeDirectory);
  const restorations: Restoration[] = [];
  for (const journal of listJournals(directory)) {
    const { interface: name, index } = journal;
    if (options.interface !== undefined && options.interface !== name) continue;
    restorations.push(...(await withSession(directory, name, index, restoreAll)));
  }
  return restorations;
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
