/** From what an interface is to what has to be done to it: pure code. */
import { type Match } from '../flows.js';
import { InterfacePlan, type PlanStep } from '../plan.js';
import type { Journal, Preparation, SharedRecord } from './journal.js';
import { mayLive } from './owner.js';
import { planFlows } from './planning-flows.js';
import { defaultTable, excludeQueues } from './rss-table.js';
import { sameValue, SETTINGS, type SharedSetting, type Value } from './settings.js';
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
  | { kind: 'rule'; alternatives: readonly Match[]; target: number | 'context' };

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
      `the kernel lists no queues of ${state.name}; is it down? 'ip link set dev ${state.name} up'`,
    );
  }
  if (state.privileged === undefined) {
    notes.push('there is no /proc to tell whether this process has CAP_NET_ADMIN, which it takes');
  }
  for (const each of journal.preparations) {
    if (journal.others.includes(each)) continue;
    notes.push(
      `queues ${each.queues.join(', ')} were left set up by ${describeOwner(each)}, which has ended; this is undone first`,
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
  const { name } = state;
  const blockers: string[] = [];
  if (state.noDevice !== undefined) blockers.push(state.noDevice);
  if (state.privileged === false && steps.some((step) => step.changes)) {
    blockers.push(
      "changing an interface needs CAP_NET_ADMIN: run as root, or give node the capability: 'setcap cap_net_admin+ep $(command -v node)'",
    );
  }
  if (state.xdpProgram !== undefined) {
    blockers.push(
      `an XDP program is attached to ${name}, and no memory can be bound then; 'ip link set dev ${name} xdp off' takes it off`,
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
      `queue ${shared.join(', ')} was set up by ${describeOwner(other)}; choose other queues, or have that one restore first`,
    ];
  });
}

interface SharedParts {
  setting: SharedSetting;
  plan: PlanStep['setting'];
  state: InterfaceState;
  current: Value;
  wanted: Value;
  blockers?: string[];
  change: (current: Value, now: Surroundings) => Value | undefined;
}

function sharedWork(parts: SharedParts): Work {
  const { setting, current, wanted, blockers = [] } = parts;
  const { what, show, command } = SETTINGS[setting];
  const changes = !sameValue(current, wanted);
  const step: PlanStep = {
    setting: parts.plan,
    what,
    current: show(current),
    wanted: show(wanted),
    changes,
    command: command(parts.state.name, wanted),
    blockers,
  };
  const doable = changes && blockers.length === 0;
  return { step, change: doable ? { kind: 'shared', setting, wanted: parts.change } : undefined };
}

// The queues have to be there, and one that nobody bound for all other traffic.
function planChannels(
  state: InterfaceState,
  request: Request,
  others: readonly Preparation[],
): { work: Work; total: number } {
  const { channels } = state;
  const total =
    channels === undefined ? state.rxQueues.length || 1 : channels.combined + channels.rx;
  const bound = new Set([...request.queues, ...others.flatMap((other) => other.queues)]);
  const highest = Math.max(...request.queues) + 1;
  let needed = Math.max(total, highest);
  if (Array.from({ length: needed }, (_, queue) => queue).every((queue) => bound.has(queue))) {
    needed++;
  }
  const kind = (channels?.combinedMax ?? 1) > 0 ? 'combined' : 'rx';
  const current = channels?.[kind] ?? total;
  const wanted = current + needed - total;
  const most =
    channels === undefined ? total : kind === 'combined' ? channels.combinedMax : channels.rxMax;
  const blockers: string[] = [];
  if (wanted > most) {
    const why =
      needed > highest
        ? 'one queue beside the bound ones has to take all other traffic'
        : `queue ${highest - 1} is asked for`;
    blockers.push(
      `${needed} rx queues are needed (${why}), and the driver has ${most} at most; choose fewer or lower queues`,
    );
  }
  const work = sharedWork({
    setting: `${kind}-channels`,
    plan: 'channels',
    state,
    current,
    wanted,
    blockers,
    change: (now) => Math.max(Number(now), wanted),
  });
  return { work, total: blockers.length > 0 ? total : needed };
}

function planHeaderSplit(state: InterfaceState): Work {
  const split = state.rings?.tcpDataSplit ?? 'unknown';
  const blockers =
    split === 'unknown'
      ? [
          `the driver of ${state.name} tells of no header split (tcp-data-split), without which payload cannot go to device memory; drivers that have it: gve, mlx5, bnxt, fbnic (recent kernels), devmemsim (kernel/devmemsim)`,
        ]
      : [];
  const work = sharedWork({
    setting: 'header-split',
    plan: 'header-split',
    state,
    current: split === 'enabled',
    wanted: true,
    blockers,
    change: () => true,
  });
  const current = split === 'unknown' ? 'none' : work.step.current;
  return { ...work, step: { ...work.step, current } };
}

// Where the kernel has no such setting, every packet is split.
function planThreshold(state: InterfaceState): Work[] {
  const { hdsThreshold, hdsThresholdMax } = state.rings ?? {};
  if (hdsThreshold === undefined) return [];
  const blockers =
    hdsThreshold > 0 && hdsThresholdMax === undefined
      ? [`the driver splits only packets above ${hdsThreshold} bytes, and that cannot be changed`]
      : [];
  return [
    sharedWork({
      setting: 'hds-thresh',
      plan: 'hds-thresh',
      state,
      current: hdsThreshold,
      wanted: 0,
      blockers,
      change: () => 0,
    }),
  ];
}

function planRss(
  state: InterfaceState,
  queues: number,
  request: Request,
  { others, shared }: History,
): Work {
  const excluded = new Set([...request.queues, ...others.flatMap((other) => other.queues)]);
  const record = shared.find(({ setting }) => setting === 'rss');
  const change = (current: Value, now: Surroundings): Value | undefined =>
    rssWithout(excluded, current, now);
  const parts = { setting: 'rss', plan: 'rss', state, change } as const;
  if (state.rss === undefined) {
    const blockers = [
      'the driver has no RSS table, so other traffic cannot be kept off the bound queues; choose another interface',
    ];
    const work = sharedWork({ ...parts, current: [], wanted: [], blockers });
    return { ...work, step: { ...work.step, current: 'none', wanted: 'none' } };
  }
  const { table } = state.rss;
  const total = state.channels === undefined ? queues : state.channels.combined + state.channels.rx;
  const isDefault = sameValue(table, defaultTable(table.length, total));
  const now = { queues, tableSize: table.length, record };
  const wanted = rssWithout(excluded, isDefault ? [] : table, now);
  // More channels spread a default table anew.
  const current = isDefault ? defaultTable(table.length, queues) : table;
  // No queue left over: the channels' step says so.
  return sharedWork({ ...parts, current, wanted: wanted ?? current });
}

/**
 * The RSS table without some queues.
 *
 * @param current - the table, the empty one for the default
 * @returns undefined where no queue would be left
 */
export function rssWithout(
  excluded: ReadonlySet<number>,
  current: Value,
  { queues, tableSize, record }: Surroundings,
): number[] | undefined {
  const ours = record?.set.some((value) => sameValue(value, current)) ?? false;
  const base = (ours && record !== undefined ? record.before : current) as number[];
  const table = base.length === 0 ? defaultTable(tableSize, queues) : base;
  return excludeQueues(table, excluded, queues);
}
