/** Undoing a preparation: in reverse order, and only what is still as it was set. */
import { DevmemError } from '../../errors.js';
import { describeMatch } from '../flows.js';
import { deleteRule, listRules, ruleAt } from '../ioctl/flow-rules.js';
import { sameRule } from '../ioctl/rxnfc.js';
import { deleteRssContext, getRssContext, listRssContexts } from '../netlink/rss.js';
import { printable, shellWord } from '../quoting.js';
import type { ContextRecord, Preparation, RuleRecord, SharedRecord } from './journal.js';
import { rssWithout } from './planning-settings.js';
import { type Session, surroundings, writeVerified } from './session.js';
import { sameValue, SETTINGS, type Value } from './settings.js';
import { rxQueues } from './state.js';

/** What became of one setting. */
export interface RestoredSetting {
  /** E.g. `header split`. */
  readonly what: string;
  /**
   * - `restored`: as it was before.
   * - `unchanged`: it was as before already.
   * - `kept`: another preparation of the interface needs it; the last one restores it.
   * - `skipped`: somebody else changed it meanwhile, and it was left alone.
   */
  readonly outcome: 'restored' | 'unchanged' | 'kept' | 'skipped';
  /** Values, or the reason. */
  readonly detail: string;
}

/**
 * Undoes one preparation and takes it out of the journal. What fails stays in the
 * journal, so that it can be tried again.
 *
 * @throws DevmemError ERR_DEVMEM_STILL_BOUND while memory is bound to its queues,
 *   ERR_DEVMEM_RESTORE_FAILED
 */
export async function undo(session: Session, preparation: Preparation): Promise<RestoredSetting[]> {
  const { name, journal } = session;
  if (!session.present) return forget(session);
  await checkUnbound(session, preparation);
  const undoing = new Undoing(session);

  await undoing.each(preparation.rules, (record) => undoRule(name, record));
  await undoing.each(preparation.contexts, (record) => undoContext(name, record));
  const others = journal.preparations.filter((each) => each !== preparation);
  await undoing.each(journal.shared, (record) =>
    others.length === 0 ? undoShared(name, record) : keepShared(session, record, others),
  );

  if (undoing.failures.length === 0) journal.preparations = others;
  session.save();
  if (undoing.failures.length > 0) {
    throw new DevmemError(
      'ERR_DEVMEM_RESTORE_FAILED',
      `${printable(name)} could not be restored: ${undoing.failures.map(({ message }) => message).join('; ')}. What is left is in the journal: mend the cause and restore again`,
      { cause: undoing.failures[0] },
    );
  }
  return undoing.report;
}

// Its settings went with the interface.
function forget({ name, journal, save }: Session): RestoredSetting[] {
  journal.preparations = [];
  journal.shared = [];
  save();
  const detail = `${printable(name)} is gone, and what was set with it`;
  return [{ what: 'interface', outcome: 'unchanged', detail }];
}

// The kernel would refuse header split off and fewer channels, and say less.
async function checkUnbound({ name, index }: Session, { queues }: Preparation): Promise<void> {
  const bound = (await rxQueues(index)).filter(
    ({ id, dmabufId }) => dmabufId !== undefined && queues.includes(id),
  );
  if (bound.length === 0) return;
  const list = bound.map(({ id, dmabufId }) => `${id} (binding ${dmabufId})`).join(', ');
  throw new DevmemError(
    'ERR_DEVMEM_STILL_BOUND',
    `${printable(name)} cannot be restored while memory is bound to queue ${list}. Close the binding first: declare it after the preparation, so that it is disposed of before`,
  );
}

interface Outcome extends RestoredSetting {
  /** Whether the record is to stay in the journal. */
  keep?: boolean;
}

/** Goes through records from the last to the first, and on after a failure. */
class Undoing {
  readonly report: RestoredSetting[] = [];
  readonly failures: Error[] = [];
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  async each<T>(records: T[], undoOne: (record: T) => Promise<Outcome>): Promise<void> {
    for (const record of [...records].reverse()) {
      try {
        const { keep, ...restored } = await undoOne(record);
        this.report.push(restored);
        if (keep === true) continue;
        records.splice(records.indexOf(record), 1);
        this.#session.save();
      } catch (error) {
        this.failures.push(error instanceof Error ? error : new Error(String(error)));
      }
    }
  }
}

async function undoRule(name: string, record: RuleRecord): Promise<Outcome> {
  const what = `rule ${describeMatch(record.rule.match)}`;
  const location = record.location ?? findRule(name, record);
  if (location === undefined) return { what, outcome: 'unchanged', detail: 'it was not added' };
  const now = ruleAt(name, location);
  if (now !== undefined && sameRule(now, record.rule)) {
    deleteRule(name, location);
    return { what, outcome: 'restored', detail: `rule ${location} was deleted` };
  }
  const occupied = listRules(name)?.rules.some((each) => each.location === location) ?? false;
  return occupied
    ? { what, outcome: 'skipped', detail: `rule ${location} is another one now` }
    : { what, outcome: 'unchanged', detail: `rule ${location} is gone` };
}

// The process ended between adding the rule and noting where.
function findRule(name: string, { rule, occupied }: RuleRecord): number | undefined {
  return listRules(name)?.rules.find(
    (each) =>
      !occupied.includes(each.location) && each.rule !== undefined && sameRule(each.rule, rule),
  )?.location;
}

async function undoContext(name: string, record: ContextRecord): Promise<Outcome> {
  const what = 'RSS context';
  const context = record.context ?? (await findContext(name, record));
  const table = context === undefined ? undefined : await getRssContext(name, context);
  if (context === undefined || table === undefined) {
    return { what, outcome: 'unchanged', detail: 'it is gone' };
  }
  if (!sameValue(table, record.table)) {
    return { what, outcome: 'skipped', detail: `context ${context} has another table now` };
  }
  await deleteRssContext(name, context);
  return { what, outcome: 'restored', detail: `context ${context} was deleted` };
}

async function findContext(name: string, record: ContextRecord): Promise<number | undefined> {
  for (const context of await listRssContexts(name)) {
    if (record.occupied.includes(context)) continue;
    const table = await getRssContext(name, context);
    if (table !== undefined && sameValue(table, record.table)) return context;
  }
  return undefined;
}

async function undoShared(name: string, record: SharedRecord): Promise<Outcome> {
  const { setting, before } = record;
  const { what, show, read, command } = SETTINGS[setting];
  const current = await read(name);
  if (current !== undefined && sameValue(current, before)) {
    return { what, outcome: 'unchanged', detail: show(before) };
  }
  if (current === undefined || !isOurs(record, current)) {
    const now = current === undefined ? 'unknown' : show(current);
    const detail = `somebody else set it to ${now}; before it was ${show(before)} ('${command(shellWord(name), before)}')`;
    return { what, outcome: 'skipped', detail };
  }
  await writeVerified(name, setting, before, (now) => sameValue(now, before));
  return { what, outcome: 'restored', detail: `${show(current)} -> ${show(before)}` };
}

function isOurs({ set }: SharedRecord, current: Value): boolean {
  return set.some((value) => sameValue(value, current));
}

// Others are left: all stays, but traffic may use the queues again that they do not have.
async function keepShared(
  session: Session,
  record: SharedRecord,
  others: readonly Preparation[],
): Promise<Outcome> {
  const { name } = session;
  const { setting } = record;
  const { what, show, read } = SETTINGS[setting];
  const current = await read(name);
  const shown = current === undefined ? 'unknown' : show(current);
  const kept: Outcome = { what, outcome: 'kept', detail: shown, keep: true };
  if (setting !== 'rss' || current === undefined || !isOurs(record, current)) return kept;
  const excluded = new Set(others.flatMap(({ queues }) => queues));
  const wanted = rssWithout(excluded, current, await surroundings(session, setting));
  if (wanted === undefined || sameValue(wanted, current)) return kept;
  record.set.push(wanted);
  session.save();
  await writeVerified(name, setting, wanted, (now) => sameValue(now, wanted));
  record.set = [wanted];
  return { what, outcome: 'restored', detail: `${shown} -> ${show(wanted)}`, keep: true };
}
