/** Plans for interfaces that cannot receive into device memory: they say what is missing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { planInterface, prepareInterface, type PrepareOptions } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { getLink } from '../../dist/nic/netlink/link.js';
import { expectNoLeaks } from '../support/leaks.js';
import { childProgram, inNamespace, itInNamespace, VETH } from '../support/namespace.js';

expectNoLeaks();

const CLI = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));

describe('loopback', () => {
  it('is planned for, with everything that is missing', async () => {
    const plan = await planInterface({ interface: 'lo', queues: [0], flows: [{ localPort: 1 }] });
    expect(plan.blockers).toContainEqual(expect.stringContaining('no header split'));
    expect(plan.blockers).toContainEqual(expect.stringContaining('no RSS table'));
    expect(plan.blockers).toContainEqual(expect.stringContaining('no flow rules'));
  });

  it('cannot be set up, and the error lists why', async () => {
    const runtimeDirectory = mkdtempSync(join(tmpdir(), 'devmem-tcp-plan-'));
    try {
      const preparing = prepareInterface({ interface: 'lo', queues: [0], runtimeDirectory });
      await expect(preparing).rejects.toMatchObject({ code: 'ERR_DEVMEM_PLAN_BLOCKED' });
      await expect(preparing).rejects.toThrow(/nothing was changed:\n- .*\n- /);
    } finally {
      rmSync(runtimeDirectory, { recursive: true });
    }
  });

  it('is link 1, without an XDP program', async () => {
    expect(await getLink(1)).toMatchObject({ index: 1, name: 'lo', xdpProgram: undefined });
    expect(await getLink(2 ** 30)).toBeUndefined();
  });
});

it.each([
  [{ interface: 7 }, 'options.interface'],
  [{ interface: 'lo' }, 'options.queues'],
  [{ interface: 'lo', queues: [] }, 'one queue or more'],
  [{ interface: 'lo', queues: [1, 1] }, 'distinct queues'],
  [{ interface: 'lo', queues: [65536] }, 'options.queues[0]'],
  [{ interface: 'lo', queues: [0], flows: {} }, 'options.flows'],
  [{ interface: 'lo', queues: [0], flows: [{}] }, 'options.flows[0]'],
  [{ interface: 'lo', queues: [0], runtimeDirectory: 1 }, 'options.runtimeDirectory'],
])('%j is refused by the name of the argument', async (options, words) => {
  await expect(planInterface(options as unknown as PrepareOptions)).rejects.toThrow(words);
});

it('an interface that is not there is named', async () => {
  await expect(planInterface({ interface: 'nosuch0', queues: [0] })).rejects.toMatchObject({
    code: 'ENODEV',
  });
});

describe('a virtual interface of a namespace', () => {
  itInNamespace('would need more channels than it has, and header split', async () => {
    const args = [
      'nic',
      'plan',
      '--interface',
      'v0',
      '--queues',
      '5',
      '--listen',
      '5201',
      '--json',
    ];
    const script = `
      import { spawnSync } from 'node:child_process';
      const { stdout, status } = spawnSync(process.execPath, ${JSON.stringify([CLI, ...args])});
      console.log(JSON.stringify({ status, plan: JSON.parse(stdout) }));
    `;
    const answer = inNamespace([VETH], '--input-type=module', '--eval', script);
    expect(answer).toMatchObject({
      status: 1,
      plan: {
        driver: 'veth',
        steps: [
          {
            setting: 'channels',
            current: '4 rx',
            wanted: '6 rx',
            command: 'ethtool -L v0 rx 6',
            blockers: [expect.stringContaining('the driver has 4 at most')],
          },
          { setting: 'header-split', current: 'none' },
          { setting: 'rss' },
          { setting: 'flow-rule' },
          { setting: 'flow-rule' },
        ],
      },
    });
  });

  itInNamespace('has channels and features that are set and read back', async () => {
    expect(inNamespace([VETH], childProgram('veth-settings'))).toEqual({
      channels: [4, 2, 4],
      tooMany: { code: 'EINVAL', kernelMessage: 'requested channel count exceeds maximum' },
      feature: [
        { active: true, changeable: true },
        { active: false, changeable: true },
      ],
      unknown: { active: false, changeable: false },
    });
  });
});
