/** What is made of the answers of drivers that nobody here has the hardware of. */
import { describe, expect, it } from 'vitest';

import { renderReport } from '../../dist/cli/doctor/render.js';
import { examine } from '../../dist/doctor/diagnose.js';
import { freeLocation, readRules } from '../../dist/nic/ioctl/flow-rules.js';
import { RX_CLS_LOC_ANY, type Rule } from '../../dist/nic/ioctl/rxnfc.js';
import { makePlan } from '../../dist/nic/prepare/planning.js';
import { defaultTable } from '../../dist/nic/prepare/rss-table.js';
import type { InterfaceState } from '../../dist/nic/prepare/state.js';
import { type Driver, DRIVERS, rxnfc } from '../support/drivers.js';
import { NO_HISTORY, request, state } from '../support/interface-state.js';
import { GOOD_FILES, machine, queue } from '../support/machines.js';

const COUNTS = [1, 2, 3, 7, 16, 63, 64, 255, 512, 1023, 1024];
const CASES = DRIVERS.flatMap((driver) =>
  COUNTS.map((queues) => [driver.name, queues, driver] as const),
);

const rule = (port: number, to = 0): Rule => ({
  match: { family: 4, localPort: port },
  target: { queue: to },
});

/** Rules for ports from 1 on, at every third place. */
const someRules = (count: number): Map<number, Rule> =>
  new Map(Array.from({ length: count }, (_, at) => [3 * at, rule(at + 1)]));

function stateOf(driver: Driver, queues: number, rules = someRules(2)): InterfaceState {
  return state({
    driver: driver.name,
    channels: driver.channels(queues),
    rss: { table: defaultTable(driver.table, queues), contexts: false },
    rules: readRules(rxnfc(driver.answers(rules))),
    rxQueues: Array.from({ length: queues }, (_, id) => queue(id)),
  });
}

describe.each(DRIVERS)('$name: rules', (driver) => {
  it.each([0, 1, 5, 31])('%i of them are listed, and the next one’s place is found', (count) => {
    const rules = someRules(count);
    const table = readRules(rxnfc(driver.answers(rules)))!;
    expect(table.rules).toEqual([...rules].map(([location, each]) => ({ location, rule: each })));
    expect(table).toMatchObject({
      size: driver.size(count),
      choosesLocation: driver.choosesLocation,
    });
    const free = count === 0 ? 0 : 1;
    expect(freeLocation(table)).toBe(driver.choosesLocation ? RX_CLS_LOC_ANY : free);
  });

  it('that are deleted while they are listed are passed over', () => {
    const answers = driver.answers(someRules(3));
    const ask = rxnfc(answers);
    const gone = rxnfc({ ...answers, rules: new Map() });
    const table = readRules((what, command) => (what === 'get-rule' ? gone : ask)(what, command));
    expect(table?.rules.map(({ rule: read }) => read)).toEqual([undefined, undefined, undefined]);
  });

  it('that are added while they are listed are asked for again', () => {
    const few = rxnfc(driver.answers(someRules(1)));
    const more = rxnfc(driver.answers(someRules(2)));
    let counted = 0;
    const table = readRules((what, command) => {
      if (what === 'count-rules') counted++;
      (what === 'count-rules' && counted === 1 ? few : more)(what, command);
    });
    expect(table?.rules).toHaveLength(2);
    expect(counted).toBe(2);
  });

  it.each(['EOPNOTSUPP', 'EINVAL'] as const)(
    'that it does not have (%s) are in the way, in words',
    (errno) => {
      for (const command of ['count-rules', 'list-rules'] as const) {
        const ask = rxnfc({ ...driver.answers(someRules(2)), refused: { [command]: errno } });
        const rules = readRules(ask);
        expect(rules).toBeUndefined();
        const { plan } = makePlan({ ...stateOf(driver, 8), rules }, request([7], [80]), NO_HISTORY);
        expect(plan.blockers).toEqual([
          expect.stringContaining('the driver of eth1 has no flow rules (ntuple)'),
        ]);
      }
    },
  );

  it.each(['EPERM', 'ENODEV', 'EIO', 'EMSGSIZE'] as const)(
    'that cannot be read for another reason (%s) are an error',
    (errno) => {
      const ask = rxnfc({ ...driver.answers(someRules(2)), refused: { 'list-rules': errno } });
      expect(() => readRules(ask)).toThrow(`ethtool list-rules ${errno}`);
    },
  );
});

/** The kind of channels and its number that a step asks for. */
function channelsWanted(driver: Driver, queues: number, wanted: number[]) {
  const { plan } = makePlan(stateOf(driver, queues), request(wanted, [5201]), NO_HISTORY);
  const [step] = plan.steps;
  const [count, kind] = step!.wanted.split(' ');
  return { plan, step: step!, count: Number(count), kind };
}

describe.each(CASES)('%s with %i queues: a plan', (_, queues, driver) => {
  it.each([
    ['the last queue', (last: number) => [last]],
    ['the first', () => [0]],
    ['one more than there are', (last: number) => [last + 1]],
    ['every queue', (last: number) => Array.from({ length: last + 1 }, (_, id) => id)],
    ['some here and there', (last: number) => [...new Set([last, last >> 1, last >> 3])]],
  ])('for %s adds to the channels that are in use, as far as there are', (_, choose) => {
    const wanted = choose(queues - 1);
    const { plan, step, count, kind } = channelsWanted(driver, queues, wanted);
    const channels = driver.channels(queues);
    // One at least has to stay for other traffic.
    const needed = Math.max(queues, Math.max(...wanted) + 1, wanted.length + 1);
    expect(kind).toBe(driver.grows);
    expect(count).toBe(channels[driver.grows] + needed - queues);
    expect(step.command).toBe(`ethtool -L eth1 ${driver.grows} ${count}`);
    expect(step.changes).toBe(needed > queues);
    expect(step.blockers).toHaveLength(count > channels[`${driver.grows}Max`] ? 1 : 0);
    expect(String(plan)).not.toMatch(/undefined|NaN|Infinity|\[object/);
    for (const line of String(plan)
      .split('\n')
      .filter((each) => !each.includes('ethtool -X'))) {
      expect(line.length, line).toBeLessThan(300);
    }
  });
});

describe('channels', () => {
  it('of the other kind are added where those in use are all there can be', () => {
    const channels = { combined: 8, combinedMax: 8, rx: 2, rxMax: 16 };
    const { steps, blockers } = makePlan(state({ channels }), request([11]), NO_HISTORY).plan;
    expect(blockers).toEqual([]);
    expect(steps[0]).toMatchObject({ current: '2 rx', wanted: '4 rx' });
  });

  it('that are too many are told by what there could be at most', () => {
    const channels = { combined: 4, combinedMax: 8, rx: 4, rxMax: 4 };
    const { blockers } = makePlan(state({ channels }), request([20]), NO_HISTORY).plan;
    expect(blockers[0]).toMatch(/^21 rx queues are needed .* and the driver has 12 at most/);
  });

  it('of a driver that tells of none are its queues, which stay', () => {
    const { steps, blockers } = makePlan(
      state({ channels: undefined }),
      request([4]),
      NO_HISTORY,
    ).plan;
    expect(steps[0]!.current).toBe('4 combined');
    expect(blockers[0]).toMatch(/^5 rx queues are needed .* has 4 at most/);
  });
});

describe('a rule in the way is told by what it does:', () => {
  const match = { family: 4, localPort: 5201 } as const;
  it.each([
    ['drop', 'rule 9 of eth1 takes tcp4 to *:5201 from any elsewhere (dropped)'],
    ['wake', 'elsewhere (to wake the machine)'],
    [{ virtualFunction: 2, queue: 5 }, 'elsewhere (queue 5 of virtual function 2)'],
    [{ queue: 5 }, 'elsewhere (queue 5)'],
    [{ context: 1 }, 'elsewhere (RSS context 1)'],
    [{ context: 1, offset: 2 }, 'elsewhere (RSS context 1, 2 queues on)'],
    // Not the interface's own queue of that number.
    [{ virtualFunction: 0, queue: 3 }, 'elsewhere (queue 3 of virtual function 0)'],
  ] as const)('%j', (target, words) => {
    const rules = {
      rules: [{ location: 9, rule: { match, target } }],
      size: 128,
      choosesLocation: true,
    };
    const { plan } = makePlan(state({ rules }), request([3], [5201]), NO_HISTORY);
    expect(plan.blockers).toEqual([expect.stringContaining(words)]);
    expect(plan.blockers[0]).toContain("; 'ethtool -N eth1 delete 9' removes it");
  });
});

describe.each(COUNTS)('the doctor, of a NIC with %i queues', (queues) => {
  const all = Array.from({ length: queues }, (_, id) => id);
  const bound = (id: number, dmabufId = 7) => ({ ...queue(id), dmabufId });

  it.each([
    ['one bound', all.map((id) => (id === queues >> 1 ? bound(id) : queue(id)))],
    ['all bound', all.map((id) => bound(id))],
    ['all bound by somebody else', all.map((id) => bound(id, 100 + id))],
    ['every other one bound', all.map((id) => (id % 2 === 0 ? bound(id, id) : queue(id)))],
    ['some of them listed', all.filter((id) => id % 3 === 0).map((id) => queue(id))],
    ['none of them listed', []],
  ])('tells of them in one short line: %s', async (_, rxQueues) => {
    const report = await examine(machine({ rxQueues: () => Promise.resolve(rxQueues) }), {});
    const titles = report.findings
      .filter(({ id }) => id === 'interface.bound' || id === 'interface.queues')
      .map(({ title }) => title);
    for (const title of titles) expect(title.length, title).toBeLessThan(160);
    const text = renderReport(report, 80, (_style, plain) => plain);
    expect(text).not.toMatch(/undefined|NaN|\[object/);
  });
});

describe('the doctor, of a NIC of which', () => {
  it.each([
    ['one of 512 queues is bound', 512, 'In use: rx queue 256 (binding 7); free: 0-255, 257-511'],
    ['one of two is bound', 2, 'In use: rx queue 1 (binding 7); free: 0'],
  ] as const)('%s, says so', async (_, count, title) => {
    const rxQueues = Array.from({ length: count }, (_, id) =>
      id === count >> 1 ? { ...queue(id), dmabufId: 7 } : queue(id),
    );
    const { findings } = await examine(machine({ rxQueues: () => Promise.resolve(rxQueues) }), {});
    expect(findings.find(({ id }) => id === 'interface.bound')?.title).toBe(title);
  });

  it('nothing can be asked, says what is unknown, whichever file is missing', async () => {
    const silent = {
      rxQueues: () => Promise.resolve(undefined),
      rings: () => Promise.resolve(undefined),
      feature: () => Promise.resolve(undefined),
      memory: () => Promise.resolve(undefined),
    };
    for (const missing of ['', ...Object.keys(GOOD_FILES)]) {
      const left = Object.entries(GOOD_FILES).filter(([path]) => path !== missing);
      const report = await examine(machine(silent, Object.fromEntries(left)), {});
      expect(report.ready, missing).toBe(false);
      const text = renderReport(report, 80, (_style, plain) => plain);
      expect(text, missing).not.toMatch(/undefined|NaN|ENOENT/);
    }
  });
});
