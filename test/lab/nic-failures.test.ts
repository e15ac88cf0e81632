/** Preparations that cannot be, that fail in the middle, that others are in the way of. */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import {
  bindRx,
  DmaBuf,
  type NicStepMessage,
  prepareInterface,
  type PrepareOptions,
  type Setting,
} from 'devmem-tcp';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';

import { addRule, listRules } from '../../dist/nic/ioctl/flow-rules.js';
import { INTERFACE, run, setHeaderSplit } from './support/guest.js';
import {
  hasRssContexts,
  JOURNALS,
  journals,
  makeBare,
  nic,
  nicWithoutPrivilege,
  prepareAndDie,
  prepareElsewhere,
  restoreElsewhere,
  rssQueues,
  ruleCount,
  snapshot,
} from './support/nic.js';

const MiB = 2 ** 20;

const contexts = await hasRssContexts();
/** Those whose turn comes. */
const SETTINGS: readonly Setting[] = [
  'header-split',
  'rss',
  ...(contexts ? (['rss-context'] as const) : []),
  'flow-rule',
];

beforeEach(makeBare);
afterAll(async () => {
  await makeBare();
  await setHeaderSplit(true);
});

const options = (more: Partial<PrepareOptions> = {}): PrepareOptions => ({
  interface: INTERFACE,
  queues: [3],
  flows: [{ localPort: 5201 }],
  ...more,
});

/** Takes places of the rule table until so many are free. */
function fillRules(free: number): void {
  const table = listRules(INTERFACE)!;
  for (let port = 1; port <= table.size - table.rules.length - free; port++) {
    addRule(INTERFACE, { match: { family: 4, localPort: port }, target: { queue: 0 } }, 0xffffffff);
  }
}

/** Does something when the turn of the step comes that is called so. */
function onStep(what: string, action: () => void): void {
  const listener = (message: unknown): void => {
    if ((message as NicStepMessage).step.what !== what) return;
    unsubscribe('devmem-tcp:nic-step', listener);
    action();
  };
  subscribe('devmem-tcp:nic-step', listener);
}

describe('a preparation that cannot be', () => {
  it('changes nothing, and lists everything in the way', async () => {
    fillRules(1);
    const before = await snapshot();
    const preparing = prepareInterface(options({ queues: [3, 4, 5] }));
    await expect(preparing).rejects.toMatchObject({ code: 'ERR_DEVMEM_PLAN_BLOCKED' });
    await expect(preparing).rejects.toThrow(/6 rx queues are needed .* 4 at most/);
    await expect(preparing).rejects.toThrow(/1 of 128 places free, and 2 are needed/);
    expect(await snapshot()).toBe(before);
    expect(journals()).toEqual([]);
  });

  it('names the binding that has the queue', async () => {
    await setHeaderSplit(true);
    await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    await using binding = await bindRx({
      interface: INTERFACE,
      queues: [3],
      memory,
      mode: 'devmem',
    });
    const preparing = prepareInterface(options());
    await expect(preparing).rejects.toMatchObject({ code: 'ERR_DEVMEM_PLAN_BLOCKED' });
    await expect(preparing).rejects.toThrow(`queue 3 is in use by binding ${binding.id}`);
  });

  it('names the rule that has the flow', async () => {
    run(
      'ethtool',
      '-N',
      INTERFACE,
      'flow-type',
      'tcp4',
      'dst-port',
      '5201',
      'action',
      '0',
      'loc',
      '9',
    );
    const preparing = prepareInterface(options());
    await expect(preparing).rejects.toMatchObject({ code: 'ERR_DEVMEM_PLAN_BLOCKED' });
    await expect(preparing).rejects.toThrow(`'ethtool -N ${INTERFACE} delete 9' removes it`);
  });

  it('takes a rule that is there already, and leaves it there', async () => {
    run(
      'ethtool',
      '-N',
      INTERFACE,
      'flow-type',
      'tcp4',
      'dst-port',
      '5201',
      'action',
      '3',
      'loc',
      '9',
    );
    const before = await snapshot();
    const prepared = await prepareInterface(options());
    expect(ruleCount()).toBe(2);
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });
});

it('a failure in the middle undoes what was done, and names the step', async () => {
  const before = await snapshot();
  let fullTable = '';
  onStep('tcp6 to *:5201 from any', () => {
    fillRules(0);
    fullTable = run('ethtool', '-n', INTERFACE);
  });
  const preparing = prepareInterface(options());
  await expect(preparing).rejects.toMatchObject({
    code: 'ERR_DEVMEM_STEP_FAILED',
    cause: { code: 'ENOSPC', syscall: 'ethtool add-rule' },
  });
  await expect(preparing).rejects.toThrow(/tcp6 to \*:5201 .* What was done before was undone/);
  // Of the table, only the rule that was ours is gone.
  expect(fullTable).toContain('Dest port: 5201');
  expect(run('ethtool', '-n', INTERFACE)).not.toContain('Dest port: 5201');
  expect(ruleCount()).toBe(127);
  expect(journals()).toEqual([]);
  await makeBare();
  expect(await snapshot()).toBe(before);
});

describe('a process killed', () => {
  it.each(SETTINGS)(
    'when the turn of %s came leaves what `nic restore` puts back',
    async (setting) => {
      const before = await snapshot();
      await prepareAndDie(options({ queues: [2, 3] }), setting);
      expect(journals()).toHaveLength(1);
      const { status, stdout } = nic('restore');
      expect(stdout).toMatch(new RegExp(`^${INTERFACE}, queues 2-3, set up by process \\d+:`));
      expect(status).toBe(0);
      expect(await snapshot()).toBe(before);
      expect(journals()).toEqual([]);
    },
  );

  it('after everything leaves what `nic restore` puts back', async () => {
    const before = await snapshot();
    const child = await prepareElsewhere(options());
    expect(nic('restore').stdout).toContain('which runs: left alone');
    expect(ruleCount()).toBe(2);
    await kill(child);
    expect(nic('restore').status).toBe(0);
    expect(await snapshot()).toBe(before);
    expect(nic('restore').stdout).toBe('nothing to restore\n');
  });

  it.runIf(contexts)(
    'before it could note where rule and context went leaves what is found',
    async () => {
      const before = await snapshot();
      await kill(await prepareElsewhere(options({ queues: [2, 3] })));
      const file = join(JOURNALS, journals()[0]!);
      const journal = readFileSync(file, 'utf8');
      const unnoted = journal
        .replace('"location": 1', '"location": null')
        .replace(/("occupied": \[\],\s*"context": )1/, '$1null');
      expect(unnoted.match(/null/g)).toHaveLength(2);
      writeFileSync(file, unnoted);
      expect(nic('restore').status).toBe(0);
      expect(await snapshot()).toBe(before);
    },
  );

  it('is cleaned up after by the next preparation', async () => {
    const before = await snapshot();
    await kill(await prepareElsewhere(options({ flows: [{ localPort: 7777 }] })));
    const prepared = await prepareInterface(options());
    expect(run('ethtool', '-n', INTERFACE)).not.toContain('7777');
    await prepared.restore();
    expect(await snapshot()).toBe(before);
  });

  it('is not cleaned up after while somebody else has its queue bound', async () => {
    await kill(await prepareElsewhere(options()));
    await using memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
    const binding = await bindRx({ interface: INTERFACE, queues: [3], memory, mode: 'devmem' });
    const set = await snapshot();
    const { status, stdout } = nic('restore');
    expect(stdout).toContain('Close the binding first');
    expect(status).toBe(1);
    expect(await snapshot()).toBe(set);
    await binding.close();
    expect(nic('restore').status).toBe(0);
  });
});

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

describe('two processes', () => {
  it.each(['the first', 'the second'] as const)(
    'have queues of their own, and the last restores what both used (%s ends first)',
    async (first) => {
      const before = await snapshot();
      const child = await prepareElsewhere(options());
      const prepared = await prepareInterface(
        options({ queues: [2], flows: [{ localPort: 5202 }] }),
      );
      expect(rssQueues()).toEqual([0, 1]);
      expect(ruleCount()).toBe(4);
      if (first === 'the first') await restoreElsewhere(child);
      else await prepared.restore();
      expect(rssQueues()).toEqual(first === 'the first' ? [0, 1, 3] : [0, 1, 2]);
      expect(ruleCount()).toBe(2);
      expect(run('ethtool', '-g', INTERFACE)).toMatch(/TCP data split:\s+on/);
      if (first === 'the first') await prepared.restore();
      else await restoreElsewhere(child);
      expect(await snapshot()).toBe(before);
    },
  );

  it('do not get the same queue: the error names who has it', async () => {
    const child = await prepareElsewhere(options());
    const set = await snapshot();
    const preparing = prepareInterface(options({ queues: [2, 3], flows: [] }));
    await expect(preparing).rejects.toMatchObject({ code: 'ERR_DEVMEM_QUEUES_TAKEN' });
    await expect(preparing).rejects.toThrow(`queue 3 was set up by process ${child.pid}`);
    expect(await snapshot()).toBe(set);
    await restoreElsewhere(child);
  });

  it('that begin at the same time take turns', async () => {
    const before = await snapshot();
    const children = await Promise.all(
      [1, 2, 3].map((queue) =>
        prepareElsewhere(options({ queues: [queue], flows: [{ localPort: 5200 + queue }] })),
      ),
    );
    expect(rssQueues()).toEqual([0]);
    expect(ruleCount()).toBe(6);
    await Promise.all(children.map(restoreElsewhere));
    expect(await snapshot()).toBe(before);
  });
});

describe('the command', () => {
  const chosen = ['--interface', INTERFACE, '--queues', '2,3', '--listen', '5201'];

  it('plans, applies and restores', async () => {
    const before = await snapshot();
    const plan = nic('plan', ...chosen);
    expect(plan).toMatchObject({ status: 0, stderr: '' });
    expect(await snapshot()).toBe(before);
    const applied = nic('apply', ...chosen, '--json');
    expect(applied).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(applied.stdout)).toMatchObject({ queues: [2, 3], changes: true });
    expect(rssQueues()).toEqual([0, 1]);
    const again = nic('apply', ...chosen);
    expect(again.status).toBe(1);
    expect(again.stderr).toContain("queue 2-3 was set up by 'devmem-tcp nic apply'");
    const restored = nic('restore', '--interface', INTERFACE);
    expect(restored).toMatchObject({ status: 0, stderr: '' });
    expect(restored.stdout).toContain('header split: restored, on -> off');
    expect(await snapshot()).toBe(before);
  });

  it('plans without CAP_NET_ADMIN, and says that applying needs it', async () => {
    const before = await snapshot();
    const plan = nicWithoutPrivilege('plan', ...chosen);
    expect(plan.stdout).toContain(`ethtool -G ${INTERFACE} tcp-data-split on`);
    const applied = nicWithoutPrivilege('apply', ...chosen);
    expect(applied.status).toBe(1);
    expect(applied.stderr).toContain('CAP_NET_ADMIN');
    expect(await snapshot()).toBe(before);
  });
});
