import { describe, expect, it } from 'vitest';

import { makePlan } from '../../dist/nic/prepare/planning.js';
import { rssWithout } from '../../dist/nic/prepare/planning-settings.js';
import { thisProcess } from '../../dist/nic/prepare/owner.js';
import { NO_HISTORY, request, state } from '../support/interface-state.js';

// But for the ends of lines.
const CONTROL = /(?!\n)\p{Cc}/u;

const plan = (...args: Parameters<typeof makePlan>) => makePlan(...args).plan;

describe('a plan', () => {
  it('has the steps in the order in which they can be done', () => {
    const { steps, blockers } = plan(state(), request([3], [5201]), NO_HISTORY);
    expect(blockers).toEqual([]);
    expect(steps.map(({ setting, changes }) => [setting, changes])).toEqual([
      ['channels', false],
      ['header-split', true],
      ['hds-thresh', true],
      ['rss', true],
      ['ntuple', true],
      ['flow-rule', true],
    ]);
  });

  it('prints every change with its command, and what is in the way', () => {
    const text = String(plan(state({ xdpProgram: 42 }), request([7], [5201]), NO_HISTORY));
    expect(text).toContain('eth1 (fine), queues 7');
    expect(text).toContain('4 combined -> 8 combined');
    expect(text).toContain('ethtool -L eth1 combined 8');
    expect(text).toContain('ethtool -G eth1 hds-thresh 0');
    expect(text).toContain('ethtool -K eth1 ntuple on');
    expect(text).toContain('in the way: an XDP program is attached to eth1');
  });

  it('says so where nothing has to change', () => {
    const done = state({
      rings: { rx: 512, tcpDataSplit: 'enabled', hdsThreshold: 0, hdsThresholdMax: 1024 },
      rss: { table: [0, 1, 2, 0, 1, 2], contexts: false },
    });
    const planned = plan(done, request([3]), NO_HISTORY);
    expect(planned.changes).toBe(false);
    expect(String(planned)).toContain('nothing to change');
    expect(planned.notes).toEqual(['no flows are given: nothing steers connections to the queues']);
  });

  it('counts rx channels where the driver has no combined ones', () => {
    const channels = { combined: 0, combinedMax: 0, rx: 2, rxMax: 4 };
    const { steps } = plan(state({ channels }), request([3]), NO_HISTORY);
    expect(steps[0]).toMatchObject({ wanted: '4 rx', command: 'ethtool -L eth1 rx 4' });
  });

  it('spreads the flows over the queues in turn, and says which get none', () => {
    const { steps, notes } = plan(state(), request([1, 2, 3], [5201, 5202]), NO_HISTORY);
    const rules = steps.filter(({ setting }) => setting === 'flow-rule');
    expect(rules.map(({ wanted }) => wanted)).toEqual(['queue 1', 'queue 2']);
    expect(notes).toContainEqual(expect.stringContaining('nothing is steered to queue 3'));
  });

  it('makes an RSS context over several queues where the driver has them', () => {
    const rss = { table: [0, 1, 2, 3], contexts: true };
    const { steps } = plan(state({ rss }), request([2, 3], [5201]), NO_HISTORY);
    expect(steps.find(({ setting }) => setting === 'rss-context')).toMatchObject({
      wanted: 'queues 2-3',
      command: 'ethtool -X eth1 context new start 2 equal 2',
    });
    expect(steps.at(-1)).toMatchObject({ setting: 'flow-rule', wanted: 'the context' });
    const one = plan(state({ rss }), request([3], [5201]), NO_HISTORY);
    expect(one.steps.map(({ setting }) => setting)).not.toContain('rss-context');
  });

  it('asks for one rule where two flows are the same', () => {
    const { steps } = plan(state(), request([3], [5201, 5201]), NO_HISTORY);
    expect(steps.filter(({ setting }) => setting === 'flow-rule')).toHaveLength(1);
  });
});

describe('in the way is', () => {
  const queue = { napiId: undefined, dmabufId: undefined, otherUser: undefined };
  it.each([
    ['that it is no NIC', { noDevice: 'eth1 is a bridge. Name eth0' }, /^eth1 is a bridge/],
    ['a missing privilege', { privileged: false }, /needs CAP_NET_ADMIN/],
    ['a driver without header split', { rings: undefined }, /tells of no header split/],
    [
      'a threshold that cannot be set',
      { rings: { rx: 1, tcpDataSplit: 'enabled', hdsThreshold: 64, hdsThresholdMax: undefined } },
      /only packets above 64 bytes/,
    ],
    ['a driver without RSS', { rss: undefined }, /no RSS table/],
    ['a driver without rules', { rules: undefined }, /has no flow rules/],
    [
      'a full table of rules',
      {
        rules: { rules: [{ location: 0, rule: undefined }], size: 1, choosesLocation: true },
      },
      /0 of 1 places free/,
    ],
    ['an XDP program', { xdpProgram: 1 }, /xdp off/],
    [
      'a binding',
      { rxQueues: [{ ...queue, id: 3, dmabufId: 5 }] },
      /queue 3 is in use by binding 5/,
    ],
    [
      'an AF_XDP socket',
      { rxQueues: [{ ...queue, id: 3, otherUser: 'AF_XDP' }] },
      /queue 3 is in use by AF_XDP/,
    ],
    [
      'too low a maximum',
      { channels: { combined: 3, combinedMax: 3, rx: 0, rxMax: 0 } },
      /4 rx queues are needed \(queue 3 is asked for\), and the driver has 3 at most/,
    ],
  ] as const)('%s', (_, more, words) => {
    const { blockers } = plan(
      state(more as Parameters<typeof state>[0]),
      request([3], [5201]),
      NO_HISTORY,
    );
    expect(blockers).toHaveLength(1);
    expect(blockers[0]).toMatch(words);
  });

  it('nothing that there is no /proc to tell of', () => {
    const { blockers, notes } = plan(state({ privileged: undefined }), request([3]), NO_HISTORY);
    expect(blockers).toEqual([]);
    expect(notes[0]).toContain('there is no /proc to tell whether this process has CAP_NET_ADMIN');
  });

  it('no queue left over for other traffic', () => {
    const channels = { combined: 2, combinedMax: 2, rx: 0, rxMax: 0 };
    const { blockers } = plan(state({ channels }), request([0, 1]), NO_HISTORY);
    expect(blockers).toHaveLength(1);
    expect(blockers[0]).toContain('one queue beside the bound ones');
  });

  it('another preparation of a queue, whose process it names', () => {
    const other = { id: 'x', queues: [3], owner: thisProcess(), contexts: [], rules: [] };
    const history = { shared: [], preparations: [other], others: [other] };
    const { blockers } = plan(state(), request([2, 3]), history);
    expect(blockers).toEqual([
      expect.stringContaining(`queue 3 was set up by process ${process.pid}`),
    ]);
  });
});

describe('a name of a kind that shells take for something else', () => {
  const name = "x;$(id)'\x1b[31m";
  const word = "$'x;$(id)\\'\\x1b[31m'";
  const blocked = {
    name,
    xdpProgram: 1,
    rxQueues: [],
    rings: undefined,
    ntuple: { active: false, changeable: true },
    rules: {
      rules: [{ location: 9, rule: { match: { family: 4, localPort: 80 }, target: 'drop' } }],
      size: 1,
      choosesLocation: true,
    },
  } as const;

  it('is quoted in every command, and escaped in every line', () => {
    const planned = plan(state(blocked as never), request([7], [80, 81]), NO_HISTORY);
    for (const { command } of planned.steps) expect(command).toMatch(/^ethtool -[A-Z] \$'x;/);
    const text = String(planned);
    expect(text).not.toMatch(CONTROL);
    const commands = text.match(/(?:ethtool -[A-Za-z]|ip link set dev) \S+/g) ?? [];
    expect(commands.length).toBeGreaterThan(8);
    for (const command of commands) expect(command).toContain(word);
  });
});

describe('beside other preparations', () => {
  const table = [0, 1, 0, 1];
  const record = { setting: 'rss', before: [], set: [table] } as const;

  it('the RSS table leaves out the queues of all', () => {
    const now = { queues: 4, tableSize: 4, record: { ...record, before: [], set: [table] } };
    expect(rssWithout(new Set([1, 2, 3]), table, now)).toEqual([0, 0, 0, 0]);
    expect(rssWithout(new Set([3]), table, now)).toEqual([0, 1, 2, 0]);
  });

  it('a table that somebody else set meanwhile is where it starts from', () => {
    const now = { queues: 4, tableSize: 4, record: { ...record, before: [], set: [table] } };
    expect(rssWithout(new Set([3]), [3, 3, 2, 2], now)).toEqual([2, 2, 2, 2]);
  });

  it('those whose process has ended are undone first, and their queues are free', () => {
    const ended = { ...thisProcess(), startTime: '0' };
    const gone = { id: 'x', queues: [3], owner: ended, contexts: [], rules: [] };
    const history = { shared: [], preparations: [gone], others: [] };
    const { blockers, notes } = plan(state(), request([3], [1]), history);
    expect(blockers).toEqual([]);
    expect(notes).toContainEqual(expect.stringContaining('this is undone first'));
  });
});
