/** The part of a plan that is about settings which an interface has once: pure code. */
import type { Channels } from '../netlink/channels.js';
import type { PlanStep } from '../plan.js';
import { printable, shellWord } from '../quoting.js';
import type { Preparation } from './journal.js';
import type { History, Request, Surroundings, Work } from './planning.js';
import { defaultTable, excludeQueues } from './rss-table.js';
import { sameValue, SETTINGS, type SharedSetting, type Value } from './settings.js';
import type { InterfaceState } from './state.js';

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
    command: command(shellWord(parts.state.name), wanted),
    blockers,
  };
  const doable = changes && blockers.length === 0;
  return { step, change: doable ? { kind: 'shared', setting, wanted: parts.change } : undefined };
}

// The queues have to be there, and one that nobody bound for all other traffic.
export function planChannels(
  state: InterfaceState,
  request: Request,
  others: readonly Preparation[],
): { work: Work; total: number } {
  const total = totalOf(state);
  const bound = new Set([...request.queues, ...others.flatMap((other) => other.queues)]);
  const highest = Math.max(...request.queues) + 1;
  let needed = Math.max(total, highest);
  if (Array.from({ length: needed }, (_, queue) => queue).every((queue) => bound.has(queue))) {
    needed++;
  }
  const { kind, current, most } = channelsToGrow(state.channels, total, needed);
  const wanted = current + needed - total;
  const blockers: string[] = [];
  if (wanted > most) {
    const why =
      needed > highest
        ? 'one queue beside the bound ones has to take all other traffic'
        : `queue ${highest - 1} is asked for`;
    blockers.push(
      `${needed} rx queues are needed (${why}), and the driver has ${total - current + most} at most; choose fewer or lower queues`,
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

/** Rx queues that there are. */
function totalOf({ channels, rxQueues }: InterfaceState): number {
  return channels === undefined ? rxQueues.length || 1 : channels.combined + channels.rx;
}

const KINDS = ['combined', 'rx'] as const;

// Drivers that have both kinds take more of one in use, and refuse to mix them
// (bnxt_set_channels), or mix them (fbnic_set_channels).
function channelsToGrow(
  channels: Channels | undefined,
  total: number,
  needed: number,
): { kind: (typeof KINDS)[number]; current: number; most: number } {
  if (channels === undefined) return { kind: 'combined', current: total, most: total };
  const all = KINDS.map((kind) => ({
    kind,
    current: channels[kind],
    most: channels[`${kind}Max`],
  }));
  const inUse = all.filter(({ current }) => current > 0);
  const usable = inUse.length > 0 ? inUse : all.filter(({ most }) => most > 0);
  const roomy = usable.find(({ current, most }) => current + needed - total <= most);
  return roomy ?? usable[0] ?? all[0]!;
}

export function planHeaderSplit(state: InterfaceState): Work {
  const split = state.rings?.tcpDataSplit ?? 'unknown';
  const blockers =
    split === 'unknown'
      ? [
          `the driver of ${printable(state.name)} tells of no header split (tcp-data-split), without which payload cannot go to device memory; drivers that have it: gve, mlx5, bnxt, fbnic (recent kernels), devmemsim (kernel/devmemsim)`,
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
export function planThreshold(state: InterfaceState): Work[] {
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

export function planRss(
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
  const total = state.channels === undefined ? queues : totalOf(state);
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
