/** The part of a plan that brings flows to the queues. */
import { alternatives, describeMatch, ethtoolFlow, type Match } from '../flows.js';
import { type InstalledRule, sameMatch } from '../ioctl/rxnfc.js';
import type { PlanStep } from '../plan.js';
import type { Request, Work } from './planning.js';
import { describeTable, ethtoolSpread } from './rss-table.js';
import type { InterfaceState } from './state.js';

/** A match and the bound queue that it goes to, where no context spreads it. */
interface Steered {
  match: Match;
  queue: number;
}

/**
 * Rules, and what they need. With several queues an RSS context spreads the
 * connections of each flow over all of them; where the driver has none, a rule can
 * name one queue only, and the flows take turns.
 */
export function planFlows(state: InterfaceState, request: Request, notes: string[]): Work[] {
  if (request.flows.length === 0) {
    notes.push('no flows are given: nothing steers connections to the queues');
    return [];
  }
  const { queues } = request;
  const spread = queues.length > 1 && state.rss?.contexts === true;
  if (queues.length > 1 && !spread) notes.push(turnsNote(request));
  const steered = distinct(
    request.flows.flatMap((matches, at) =>
      matches.map((match) => ({ match, queue: queues[at % queues.length]! })),
    ),
  );
  const rules = steered.map((each) => planRule(state, request, each, spread));
  return [
    ...planNtuple(state, notes),
    ...(spread && rules.some(({ change }) => change !== undefined)
      ? [planContext(state, queues)]
      : []),
    ...withRoom(state, rules),
  ];
}

function turnsNote({ queues, flows }: Request): string {
  const idle = queues.slice(flows.length);
  const unused = idle.length > 0 ? `; nothing is steered to queue ${idle.join(', ')}` : '';
  return `the driver has no RSS contexts: each flow goes to one of the queues, in turn${unused}`;
}

function distinct(steered: readonly Steered[]): Steered[] {
  return steered.filter(
    ({ match }, at) => !steered.slice(0, at).some((earlier) => sameMatch(earlier.match, match)),
  );
}

function planNtuple({ name, ntuple, rules }: InterfaceState, notes: string[]): Work[] {
  if (ntuple === undefined) return [];
  if (!ntuple.active && !ntuple.changeable) {
    if (rules === undefined) return [];
    notes.push(`ntuple filters are off on ${name} and cannot be switched; rules may do nothing`);
    return [];
  }
  const step: PlanStep = {
    setting: 'ntuple',
    what: 'ntuple filters',
    current: ntuple.active ? 'on' : 'off',
    wanted: 'on',
    changes: !ntuple.active,
    command: `ethtool -K ${name} ntuple on`,
    blockers: [],
  };
  const change = { kind: 'shared', setting: 'ntuple', wanted: () => true } as const;
  return [{ step, change: ntuple.active ? undefined : change }];
}

function planContext({ name }: InterfaceState, queues: readonly number[]): Work {
  return {
    step: {
      setting: 'rss-context',
      what: 'RSS context',
      current: 'none',
      wanted: describeTable(queues),
      changes: true,
      command: `ethtool -X ${name} context new ${ethtoolSpread(queues)}`,
      blockers: [],
    },
    change: { kind: 'context', queues },
  };
}

function planRule(
  state: InterfaceState,
  { queues }: Request,
  { match, queue }: Steered,
  spread: boolean,
): Work {
  const { name, rules } = state;
  const existing = rules?.rules.find(
    ({ rule }) => rule !== undefined && sameMatch(rule.match, match),
  );
  const there = existing === undefined ? undefined : queueOf(existing);
  const done = there !== undefined && queues.includes(there);
  const step: PlanStep = {
    setting: 'flow-rule',
    what: describeMatch(match),
    current:
      existing === undefined ? 'no rule' : `rule ${existing.location}, ${describeTarget(there)}`,
    wanted: spread ? 'the context' : `queue ${queue}`,
    changes: !done,
    command: `ethtool -N ${name} ${ethtoolFlow(match)} ${spread ? 'context N' : `action ${queue}`}`,
    blockers:
      existing === undefined || done
        ? []
        : [
            `rule ${existing.location} of ${name} sends ${describeMatch(match)} elsewhere (${describeTarget(there)}); 'ethtool -N ${name} delete ${existing.location}' removes it`,
          ],
  };
  const target = spread ? 'context' : queue;
  const doable = step.changes && step.blockers.length === 0;
  return {
    step,
    change: doable ? { kind: 'rule', alternatives: alternatives(match), target } : undefined,
  };
}

function queueOf({ rule }: InstalledRule): number | undefined {
  return rule !== undefined && 'queue' in rule.target ? rule.target.queue : undefined;
}

function describeTarget(queue: number | undefined): string {
  return queue === undefined ? 'an RSS context' : `queue ${queue}`;
}

// Whether there are rules at all, and room for these.
function withRoom(state: InterfaceState, rules: Work[]): Work[] {
  const [first] = rules;
  if (first === undefined) return rules;
  const blocker = roomBlocker(state, rules.filter(({ change }) => change !== undefined).length);
  if (blocker === undefined) return rules;
  const blocked = { ...first.step, blockers: [...first.step.blockers, blocker] };
  return [{ step: blocked, change: undefined }, ...rules.slice(1)];
}

function roomBlocker({ name, rules }: InterfaceState, needed: number): string | undefined {
  if (rules === undefined) {
    return `the driver of ${name} has no flow rules (ntuple), and the flows need them; choose another interface, or leave the flows out and steer by RSS`;
  }
  const free = rules.size - rules.rules.length;
  if (rules.size === 0 || free >= needed) return undefined;
  return `the rule table of ${name} has ${free} of ${rules.size} places free, and ${needed} are needed; 'ethtool -n ${name}' lists the rules, 'ethtool -N ${name} delete N' removes one`;
}
