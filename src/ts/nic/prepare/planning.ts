/** From what an interface is to what has to be done to it: pure code. */
import type { Match } from '../flows.js';
import { InterfacePlan, type PlanStep } from '../plan.js';
import { queueList } from '../queue-list.js';
import { printable, shellWord } from '../quoting.js';
import type { Journal, Preparation, SharedRecord } from './journal.js';
import { mayLive } from './owner.js';
import { planFlows } from './planning-flows.js';
import { planChannels, planHeaderSplit, planRss, planThreshold } from './planning-settings.js';
import type { SharedSetting, Value } from './settings.js';
import type { InterfaceState } from './state.js';

export interface Request {
  queues: readonly number[];
  /** Of each flow, one match for each family. */
  flows: readonly (readonly Match[])[];
}

/** What a step does, apart from what it says. */
export type Change =
  | {
      kind: 'shared';
      setting: SharedSetting;
      /** From the value just before the change; undefined where it turns out impossible. */
      wanted: (current: Value, now: Surroundings) => Value | undefined;
    }
  | { kind: 'context'; queues: readonly number[] }
  | {
      kind: 'rule';
      alternatives: readonly Match[];
      target: number | 'context';
      /** Whether to go on where the driver cannot match on any of them. */
      optional: boolean;
    };

/** What the wanted RSS table depends on, as it is when the step's turn comes. */
export interface Surroundings {
  queues: number;
  tableSize: number;
  record: SharedRecord | undefined;
}

export interface Work {
  step: PlanStep;
  /** Undefined where nothing has to be done, or it cannot be. */
  change: Change | undefined;
}

export interface Planned {
  plan: InterfacePlan;
  work: Work[];
}

/** What is known of earlier preparations. */
export interface History extends Pick<Journal, 'shared' | 'preparations'> {
  /** Those whose queues have to be left alone. */
  others: readonly Preparation[];
}

export function makePlan(state: InterfaceState, request: Request, journal: History): Planned {
  const { others } = journal;
  const notes = notesOf(state, journal);
  const channels = planChannels(state, request, others);
  const flows = planFlows(state, request, notes);
  const work = [
    channels.work,
    planHeaderSplit(state),
    ...planThreshold(state),
    planRss(state, channels.total, request, journal),
    ...flows,
  ];
  const steps = work.map(({ step }) => step);
  const plan = new InterfacePlan({
    interface: state.name,
    driver: state.driver ?? 'no driver told',
    queues: request.queues,
    steps,
    blockers: blockersOf(state, request, others, steps),
    notes,
  });
  return { plan, work };
}

/** Whether what it set up may still be in use: nobody restores it but its owner. */
export function isLive(preparation: Preparation): boolean {
  return preparation.owner === null || mayLive(preparation.owner);
}

/** For messages: whose it is. */
export function describeOwner({ owner }: Preparation): string {
  return owner === null ? "'devmem-tcp nic apply'" : `process ${owner.pid}`;
}

function notesOf(state: InterfaceState, journal: History): string[] {
  const notes: string[] = [];
  if (state.rxQueues.length === 0) {
    notes.push(
      `the kernel lists no queues of ${printable(state.name)}; is it down? 'ip link set dev ${shellWord(state.name)} up'`,
    );
  }
  if (state.privileged === undefined) {
    notes.push('there is no /proc to tell whether this process has CAP_NET_ADMIN, which it takes');
  }
  for (const each of journal.preparations) {
    if (journal.others.includes(each)) continue;
    notes.push(
      `queues ${queueList(each.queues)} were left set up by ${describeOwner(each)}, which has ended; this is undone first`,
    );
  }
  return notes;
}

function blockersOf(
  state: InterfaceState,
  request: Request,
  others: readonly Preparation[],
  steps: readonly PlanStep[],
): string[] {
  const blockers: string[] = [];
  if (state.noDevice !== undefined) blockers.push(state.noDevice);
  if (state.privileged === false && steps.some((step) => step.changes)) {
    blockers.push(
      "changing an interface needs CAP_NET_ADMIN: run as root, or give node the capability: 'setcap cap_net_admin+ep $(command -v node)'",
    );
  }
  if (state.xdpProgram !== undefined) {
    blockers.push(
      `an XDP program is attached to ${printable(state.name)}, and no memory can be bound then; 'ip link set dev ${shellWord(state.name)} xdp off' takes it off`,
    );
  }
  for (const queue of state.rxQueues.filter(({ id }) => request.queues.includes(id))) {
    const user = queue.dmabufId === undefined ? queue.otherUser : `binding ${queue.dmabufId}`;
    if (user === undefined) continue;
    blockers.push(
      `queue ${queue.id} is in use by ${user}; choose another, or end the process that holds it`,
    );
  }
  blockers.push(...overlaps(request.queues, others));
  return blockers;
}

/** Queues that another preparation has, in words. */
export function overlaps(queues: readonly number[], others: readonly Preparation[]): string[] {
  return others.flatMap((other) => {
    const shared = queues.filter((queue) => other.queues.includes(queue));
    if (shared.length === 0) return [];
    return [
      `queue ${queueList(shared)} was set up by ${describeOwner(other)}; choose other queues, or have that one restore first`,
    ];
  });
}
