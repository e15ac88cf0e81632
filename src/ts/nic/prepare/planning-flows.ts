/** The part of a plan that brings flows to the queues. */
import { alternatives, describeMatch, ethtoolFlow, type Match } from '../flows.js';
import type { RuleTable } from '../ioctl/flow-rules.js';
import { type FoundRule, type InstalledRule, sameMatch } from '../ioctl/rxnfc.js';
import type { PlanStep } from '../plan.js';
import { queueList } from '../queue-list.js';
import { printable, shellWord } from '../quoting.js';
import type { Request, Work } from './planning.js';
import { describeTable, ethtoolSpread } from './rss-table.js';
import type { InterfaceState } from './state.js';

/** A match and the bound queue that it goes to, where no context spreads it. */
interface Steered {
  match: Match;
  queue: number;
  /** Whether it is the half of a flow that can do without: IPv6, which nobody asked for. */
  optional: boolean;
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
      matches.map((match) => ({
        match,
        queue: queues[at % queues.length]!,
        optional: matches.length > 1 && match.family === 6,
      })),
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
  const unused = idle.length > 0 ? `; nothing is steered to queue ${queueList(idle)}` : '';
  return `the driver has no RSS contexts: each flow goes to one of the queues, in turn${unused}`;
}

function distinct(steered: readonly Steered[]): Steered[] {
  const same = (a: Steered, b: Steered): boolean => sameMatch(a.match, b.match);
  return steered
    .filter((each, at) => steered.findIndex((other) => same(other, each)) === at)
    .map((each) => {
      const optional = steered.every((other) => other.optional || !same(other, each));
      return { ...each, optional };
    });
}

function planNtuple({ name, ntuple, rules }: InterfaceState, notes: string[]): Work[] {
  if (ntuple === undefined) return [];
  if (!ntuple.active && !ntuple.changeable) {
    if (rules === undefined) return [];
    notes.push(
      `ntuple filters are off on ${printable(name)} and cannot be switched; rules may do nothing`,
    );
    return [];
  }
  const step: PlanStep = {
    setting: 'ntuple',
    what: 'ntuple filters',
    current: ntuple.active ? 'on' : 'off',
    wanted: 'on',
    changes: !ntuple.active,
    command: `ethtool -K ${shellWord(name)} ntuple on`,
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
      command: `ethtool -X ${shellWord(name)} context new ${ethtoolSpread(queues)}`,
      blockers: [],
    },
    change: { kind: 'context', queues },
  };
}

function planRule(
  state: InterfaceState,
  { queues }: Request,
  { match, queue, optional }: Steered,
  spread: boolean,
): Work {
  const word = shellWord(state.name);
  const existing = ruleFor(state.rules, match);
  const target = existing?.rule.target;
  const done = isQueue(target) && queues.includes(target.queue);
  const step: PlanStep = {
    setting: 'flow-rule',
    what: describeMatch(match),
    current:
      existing === undefined
        ? 'no rule'
        : `rule ${existing.location}, ${describeTarget(existing.rule.target)}`,
    wanted: spread ? 'the context' : `queue ${queue}`,
    changes: !done,
    command: `ethtool -N ${word} ${ethtoolFlow(match)} ${spread ? 'context N' : `action ${queue}`}`,
    blockers: existing === undefined || done ? [] : [elsewhereBlocker(state, existing, match)],
  };
  if (done || step.blockers.length > 0) return { step, change: undefined };
  const change = {
    kind: 'rule',
    alternatives: alternatives(match),
    target: spread ? 'context' : queue,
    optional,
  } as const;
  return { step, change };
}

type InPlace = InstalledRule & { rule: FoundRule };

function ruleFor(rules: RuleTable | undefined, match: Match): InPlace | undefined {
  return rules?.rules.find(
    (each): each is InPlace => each.rule !== undefined && sameMatch(each.rule.match, match),
  );
}

function isQueue(target: FoundRule['target'] | undefined): target is { queue: number } {
  return typeof target === 'object' && 'queue' in target && !('virtualFunction' in target);
}

function elsewhereBlocker(
  state: InterfaceState,
  { location, rule }: InPlace,
  match: Match,
): string {
  const [name, word] = [printable(state.name), shellWord(state.name)];
  return `rule ${location} of ${name} takes ${describeMatch(match)} elsewhere (${describeTarget(rule.target)}); 'ethtool -N ${word} delete ${location}' removes it`;
}

function describeTarget(target: FoundRule['target']): string {
  if (target === 'drop') return 'dropped';
  if (target === 'wake') return 'to wake the machine';
  if ('offset' in target) return `RSS context ${target.context}, ${target.offset} queues on`;
  if ('context' in target) return `RSS context ${target.context}`;
  if (!('virtualFunction' in target)) return `queue ${target.queue}`;
  return `queue ${target.queue} of virtual function ${target.virtualFunction}`;
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
    return `the driver of ${printable(name)} has no flow rules (ntuple), and the flows need them; choose another interface, or leave the flows out and steer by RSS`;
  }
  const free = rules.size - rules.rules.length;
  if (rules.size === 0 || free >= needed) return undefined;
  return `the rule table of ${printable(name)} has ${free} of ${rules.size} places free, and ${needed} are needed; 'ethtool -n ${shellWord(name)}' lists the rules, 'ethtool -N ${shellWord(name)} delete N' removes one`;
}
