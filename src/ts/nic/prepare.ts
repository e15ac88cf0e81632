/** Setting an interface up for devmem TCP, and putting everything back. */
import { DevmemError } from '../errors.js';
import { checkPrepare, type CheckedPrepare } from './prepare/arguments.js';
import { applyWork } from './prepare/apply.js';
import { runtimeDirectory } from './prepare/directory.js';
import {
  isAbout,
  type Journal,
  journalPath,
  type Preparation,
  readJournal,
} from './prepare/journal.js';
import { thisProcess } from './prepare/owner.js';
import { isLive, makePlan, overlaps } from './prepare/planning.js';
import { type Session, withInterface, withJournal } from './prepare/session.js';
import { hasNetAdmin, readState } from './prepare/state.js';
import { type RestoredSetting, undo } from './prepare/undo.js';
import type { Flow } from './flows.js';
import type { Link } from './netlink/link.js';
import { InterfacePlan } from './plan.js';
import { queueList } from './queue-list.js';
import { printable } from './quoting.js';

export type { Flow } from './flows.js';
export { InterfacePlan, type PlanStep, type Setting } from './plan.js';
export type { NicStepMessage } from './prepare/apply.js';
export type { RestoredSetting } from './prepare/undo.js';

/** Options of `planInterface()` and `prepareInterface()`. */
export interface PrepareOptions {
  /** The network interface, e.g. `'eth1'`, by its own name or an alternative one. */
  interface: string;
  /** Receive queues that memory is to be bound to, e.g. `[14, 15]`; each 0 to 65535. */
  queues: readonly number[];
  /**
   * Connections to steer to the queues. Default none: then nothing but rules made
   * elsewhere brings traffic to them.
   */
  flows?: readonly Flow[];
  /**
   * Where the journal lies: a folder that only this user can write to. Default
   * `$DEVMEM_TCP_RUNTIME_DIR`, else `/run/devmem-tcp` for root and
   * `$XDG_RUNTIME_DIR/devmem-tcp` for others.
   */
  runtimeDirectory?: string;
}

/** What `restore()` did. */
export interface RestoreReport {
  /** As it is called now. */
  readonly interface: string;
  /** The receive queues that it was set up for. */
  readonly queues: readonly number[];
  /** In the order in which they were undone. */
  readonly settings: readonly RestoredSetting[];
}

/** An interface that was set up; dispose of it after the binding. */
export interface PreparedInterface extends AsyncDisposable {
  /** The kernel's own name for it, when it was set up. */
  readonly interface: string;
  /** The receive queues that it was set up for. */
  readonly queues: readonly number[];
  /** What was done. */
  readonly plan: InterfacePlan;
  /**
   * Puts everything back, in reverse order: what this preparation changed, as far as
   * nobody else changed it meanwhile and no other preparation needs it. Calls after
   * one that succeeded give the same report.
   *
   * @throws DevmemError ERR_DEVMEM_STILL_BOUND while memory is bound to the queues,
   *   ERR_DEVMEM_RESTORE_FAILED, ERR_DEVMEM_LOCKED
   */
  restore(): Promise<RestoreReport>;
}

/**
 * Looks at an interface and tells what would have to change for devmem TCP, and what
 * is in the way. Changes nothing, and needs no privilege.
 *
 * @throws TypeError, RangeError for unusable arguments
 * @throws SystemError ENODEV where there is no such interface
 */
export async function planInterface(options: PrepareOptions): Promise<InterfacePlan> {
  const checked = await checkPrepare(options);
  return planChecked(checked, options.runtimeDirectory);
}

async function planChecked(
  checked: CheckedPrepare,
  runtime: string | undefined,
): Promise<InterfacePlan> {
  const { link } = checked;
  const { shared, preparations } = journalOrNone(link, runtime) ?? NO_JOURNAL;
  const history = { shared, preparations, others: preparations.filter(isLive) };
  return makePlan(await readState(link), checked, history).plan;
}

const NO_JOURNAL: Pick<Journal, 'shared' | 'preparations'> = { shared: [], preparations: [] };

// Without privilege there may be no folder, or one that cannot be read.
function journalOrNone(link: Link, runtime: string | undefined): Journal | undefined {
  try {
    const journal = readJournal(journalPath(runtimeDirectory(runtime), link.index));
    return journal !== undefined && isAbout(journal, link) ? journal : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Sets an interface up for devmem TCP: enough channels, header split on for every
 * packet, other traffic off the queues, and flow rules that bring the flows to them.
 * Each step is written down before it is done and looked at afterwards. What fails in
 * the middle undoes what was done.
 *
 * Until `restore()`, or until `devmem-tcp nic restore` once this process has ended,
 * the interface stays so. Settings that several preparations of one interface share
 * are restored with the last.
 *
 * @throws TypeError, RangeError for unusable arguments
 * @throws SystemError ENODEV where there is no such interface
 * @throws DevmemError ERR_DEVMEM_PLAN_BLOCKED before anything is done;
 *   ERR_DEVMEM_QUEUES_TAKEN where another preparation has one of the queues;
 *   ERR_DEVMEM_STEP_FAILED, ERR_DEVMEM_LOCKED, ERR_DEVMEM_JOURNAL
 */
export async function prepareInterface(options: PrepareOptions): Promise<PreparedInterface> {
  return prepare(options, false);
}

/** As prepareInterface(), but what was done stays when this process ends. @internal */
export async function applyPlan(options: PrepareOptions): Promise<PreparedInterface> {
  return prepare(options, true);
}

async function prepare(options: PrepareOptions, stays: boolean): Promise<Prepared> {
  const checked = await checkPrepare(options);
  // Said first: without privilege there may not even be a folder for the journal.
  if (hasNetAdmin() === false) refuseBlocked(await planChecked(checked, options.runtimeDirectory));
  const directory = runtimeDirectory(options.runtimeDirectory);
  return withInterface(directory, checked.link, async (session, link) => {
    await undoAbandoned(session);
    const preparation = newPreparation(checked, stays);
    const plan = await prepareLocked(session, { ...checked, link }, preparation);
    return new Prepared(directory, session.index, plan, preparation.id);
  });
}

function refuseBlocked(plan: InterfacePlan): void {
  if (plan.blockers.length === 0) return;
  const { interface: name, queues, blockers } = plan;
  const list = blockers.map((each) => `\n- ${each}`).join('');
  throw new DevmemError(
    'ERR_DEVMEM_PLAN_BLOCKED',
    `${printable(name)}, queues ${queueList(queues)}, cannot be set up, and nothing was changed:${list}`,
  );
}

function newPreparation({ queues }: CheckedPrepare, stays: boolean): Preparation {
  const owner = stays ? null : thisProcess();
  return { id: crypto.randomUUID(), queues: [...queues], owner, contexts: [], rules: [] };
}

// What ended processes left set up, but for queues that somebody bound since.
async function undoAbandoned(session: Session): Promise<void> {
  for (const each of session.journal.preparations.filter((one) => !isLive(one))) {
    try {
      await undo(session, each);
    } catch (error) {
      const bound = error instanceof DevmemError && error.code === 'ERR_DEVMEM_STILL_BOUND';
      if (!bound) throw error;
    }
  }
}

async function prepareLocked(
  session: Session,
  checked: CheckedPrepare,
  preparation: Preparation,
): Promise<InterfacePlan> {
  const { name, journal } = session;
  const others = [...journal.preparations];
  const taken = overlaps(checked.queues, others);
  if (taken.length > 0) {
    throw new DevmemError('ERR_DEVMEM_QUEUES_TAKEN', `${printable(name)}: ${taken.join('; ')}`);
  }
  const { plan, work } = makePlan(await readState(checked.link), checked, { ...journal, others });
  refuseBlocked(plan);
  journal.preparations.push(preparation);
  session.save();
  const refused = await applyWork(session, preparation, work).catch(async (error: unknown) => {
    throw await rolledBack(session, preparation, error);
  });
  session.save();
  if (refused.length === 0) return plan;
  const what = refused.map((step) => step.what).join(', ');
  return plan.without(refused, `the driver has no such rules: ${what}. ${ELSEWHERE}`);
}

const ELSEWHERE =
  'Connections over IPv6 go where the RSS table sends them, and are copied; give the flow family 6 to have that refused';

/** Undoes what was done; the error says so, or what that failed at. */
async function rolledBack(
  session: Session,
  preparation: Preparation,
  error: unknown,
): Promise<Error> {
  const what = error instanceof Error ? error.message : String(error);
  const cause = error instanceof Error ? error.cause : undefined;
  const outcome = await undo(session, preparation).then(
    () => 'What was done before was undone',
    (second: unknown) => (second instanceof Error ? second.message : String(second)),
  );
  return new DevmemError('ERR_DEVMEM_STEP_FAILED', `${what}. ${outcome}`, { cause });
}

class Prepared implements PreparedInterface {
  readonly plan: InterfacePlan;
  readonly #directory: string;
  readonly #index: number;
  readonly #id: string;
  #restoring: Promise<RestoreReport> | undefined;

  constructor(directory: string, index: number, plan: InterfacePlan, id: string) {
    this.plan = plan;
    this.#directory = directory;
    this.#index = index;
    this.#id = id;
  }

  get interface(): string {
    return this.plan.interface;
  }

  get queues(): readonly number[] {
    return this.plan.queues;
  }

  async restore(): Promise<RestoreReport> {
    this.#restoring ??= this.#restore();
    try {
      return await this.#restoring;
    } catch (error) {
      this.#restoring = undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.restore();
  }

  async #restore(): Promise<RestoreReport> {
    const { queues } = this;
    const report = await withJournal(this.#directory, this.#index, async (session) => {
      const mine = session.journal.preparations.find(({ id }) => id === this.#id);
      if (mine === undefined) return undefined;
      return { interface: session.name, queues, settings: await undo(session, mine) };
    });
    // 'devmem-tcp nic restore' may have been told to.
    return report ?? { interface: this.interface, queues, settings: [] };
  }
}
