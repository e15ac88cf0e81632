/** Plans for interfaces that cannot receive into device memory: they say what is missing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { planInterface, prepareInterface, type PrepareOptions } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { getLink } from '../../dist/nic/netlink/link.js';
import { itWhere } from '../support/conditions.js';
import { expectNoLeaks } from '../support/leaks.js';

expectNoLeaks();

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const VETH = fileURLToPath(new URL('children/veth-settings.mjs', import.meta.url));

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

// A network namespace of one's own, with a pair of virtual interfaces in it.
const MAKE_VETH = 'ip link add v0 numrxqueues 4 numtxqueues 4 type veth peer name v1 && exec "$@"';
const IN_NAMESPACE = ['--user', '--map-root-user', '--net', 'sh', '-c', MAKE_VETH, 'sh'];
const namespaces = spawnSync('unshare', [...IN_NAMESPACE, 'true']).status === 0;
const itInNamespace = itWhere(namespaces, 'no user namespaces or no veth here');

function inNamespace(...command: string[]): string {
  return execFileSync('unshare', [...IN_NAMESPACE, process.execPath, ...command], {
    encoding: 'utf8',
  });
}

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
    const answer: unknown = JSON.parse(inNamespace('--input-type=module', '--eval', script));
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
    expect(JSON.parse(inNamespace(VETH))).toEqual({
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
