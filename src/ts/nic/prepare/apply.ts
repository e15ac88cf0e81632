/** Doing what a plan says, step by step, each noted before and looked at afterwards. */
import { channel } from 'node:diagnostics_channel';

import { DevmemError, type SystemError, systemError } from '../../errors.js';
import type { Match } from '../flows.js';
import { failedWith } from '../ioctl/call.js';
import { addRule, freeLocation, listRules, ruleAt } from '../ioctl/flow-rules.js';
import { type Rule, sameRule, type Target } from '../ioctl/rxnfc.js';
import { createRssContext, getRss, getRssContext, listRssContexts } from '../netlink/rss.js';
import type { PlanStep } from '../plan.js';
import { printable } from '../quoting.js';
import type { ContextRecord, Preparation, RuleRecord } from './journal.js';
import type { Change, Work } from './planning.js';
import { tableOver } from './rss-table.js';
import { recordOf, type Session, surroundings, writeVerified } from './session.js';
import { sameValue, SETTINGS } from './settings.js';

/** Published on the diagnostics channel `devmem-tcp:nic-step` before a step is done. */
export interface NicStepMessage {
  /** The kernel's own name for it. */
  interface: string;
  /** The step that is about to be done. */
  step: PlanStep;
}

type RuleChange = Extract<Change, { kind: 'rule' }>;

const stepChannel = channel('devmem-tcp:nic-step');

/**
 * Does the work in order. Stops at the first failure; what was done until then is in
 * the journal.
 *
 * @returns the steps that the driver cannot do, and that can be done without
 * @throws DevmemError ERR_DEVMEM_STEP_FAILED that names the step
 */
export async function applyWork(
  session: Session,
  preparation: Preparation,
  work: readonly Work[],
): Promise<PlanStep[]> {
  const refused: PlanStep[] = [];
  for (const { step, change } of work) {
    if (change === undefined) continue;
    if (stepChannel.hasSubscribers) {
      const message: NicStepMessage = { interface: session.name, step };
      stepChannel.publish(message);
    }
    try {
      const done = await applyChange(session, preparation, change);
      if (!done) refused.push(step);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new DevmemError(
        'ERR_DEVMEM_STEP_FAILED',
        `${printable(session.name)}: ${step.what}, ${step.current} -> ${step.wanted}, failed: ${why}`,
        { cause },
      );
    }
  }
  return refused;
}

/** @returns whether it was done */
async function applyChange(
  session: Session,
  preparation: Preparation,
  change: Change,
): Promise<boolean> {
  switch (change.kind) {
    case 'shared':
      await applyShared(session, change);
      return true;
    case 'context':
      await applyContext(session, preparation, change.queues);
      return true;
    case 'rule':
      return applyRule(session, preparation, change);
  }
}

async function applyShared(
  session: Session,
  { setting, wanted }: Extract<Change, { kind: 'shared' }>,
): Promise<void> {
  const { name, journal } = session;
  const current = await SETTINGS[setting].read(name);
  if (current === undefined) throw new Error('the driver tells nothing of it any more');
  const value = wanted(current, await surroundings(session, setting));
  if (value === undefined) throw new Error('no queue would be left for other traffic');
  if (sameValue(current, value)) return;

  let record = recordOf(journal, setting);
  if (record === undefined) {
    record = { setting, before: current, set: [] };
    journal.shared.push(record);
  } else if (!record.set.some((each) => sameValue(each, current))) {
    // Changed by somebody else since: that is what is to come back now.
    record.before = current;
    record.set = [];
  }
  record.set.push(value);
  session.save();
  await writeVerified(name, setting, value, (now) => sameValue(now, value));
  record.set = [value];
}

async function applyContext(
  session: Session,
  preparation: Preparation,
  queues: readonly number[],
): Promise<void> {
  const size = (await getRss(session.name))?.table.length ?? 0;
  const table = tableOver(queues, size);
  const occupied = await listRssContexts(session.name);
  const record: ContextRecord = { table, occupied, context: null };
  preparation.contexts.push(record);
  session.save();
  record.context = await createRssContext(session.name, table);
  session.save();
  const now = await getRssContext(session.name, record.context);
  if (now === undefined || !sameValue(now, table)) {
    throw new Error(`the driver made context ${record.context} with another table`);
  }
}

function applyRule(session: Session, preparation: Preparation, change: RuleChange): boolean {
  let refusal: SystemError | undefined;
  for (const match of change.alternatives) {
    const target = targetOf(preparation, change.target);
    try {
      addRecordedRule(session, preparation, { match, target });
      return true;
    } catch (error) {
      if (!cannotMatch(error)) throw error;
      refusal = error;
    }
  }
  if (change.optional || refusal === undefined) return false;
  throw systemError(refusal.errno, refusal.syscall, {
    subject: printable(session.name),
    hint: refusedHint(change.alternatives),
    cause: refusal,
  });
}

// With these, drivers say that they cannot match on that.
function cannotMatch(error: unknown): error is SystemError {
  return failedWith(error, 'EOPNOTSUPP', 'EINVAL');
}

function refusedHint([match]: readonly Match[]): string {
  const cannot = 'The driver cannot match on this';
  return match?.family === 6
    ? `${cannot}: where IPv4 will do, leave IPv6 out (family 4)`
    : `${cannot}: give fewer parts of the flow`;
}

function targetOf({ contexts }: Preparation, target: number | 'context'): Target {
  if (target !== 'context') return { queue: target };
  const context = contexts.at(-1)?.context;
  if (context === undefined || context === null) throw new Error('there is no RSS context');
  return { context };
}

function addRecordedRule(session: Session, preparation: Preparation, rule: Rule): void {
  const table = listRules(session.name);
  if (table === undefined) throw new Error('the driver has no flow rules any more');
  const occupied = table.rules.map(({ location }) => location);
  const record: RuleRecord = { rule, occupied, location: null };
  preparation.rules.push(record);
  session.save();
  try {
    record.location = addRule(session.name, rule, freeLocation(table));
  } catch (error) {
    preparation.rules.pop();
    throw error;
  }
  session.save();
  const now = ruleAt(session.name, record.location);
  if (now === undefined || !sameRule(now, rule)) {
    throw new Error(`the driver put something else at location ${record.location}`);
  }
}
