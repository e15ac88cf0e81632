/** One NIC under several names; and what lies on it, which is none. */
import { spawnSync } from 'node:child_process';

import { bindRx, DmaBuf, planInterface, prepareInterface, startBroker } from 'devmem-tcp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { rejectionOf } from '../support/thrown.js';
import { INTERFACE, run, setHeaderSplit } from './support/guest.js';
import { journals, makeBare, nic, rename, ruleCount, snapshot } from './support/nic.js';

const MiB = 2 ** 20;
const ALTNAME = 'enp59s0f0np0';
const LONG = 'enp0s20f0u1u4u3c2-of-the-second-controller';

let memory: DmaBuf;

beforeAll(async () => {
  memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
  for (const name of [ALTNAME, LONG]) {
    run('ip', 'link', 'property', 'add', 'dev', INTERFACE, 'altname', name);
  }
});

beforeEach(makeBare);

afterAll(async () => {
  await memory.close();
  for (const name of [ALTNAME, LONG]) {
    run('ip', 'link', 'property', 'del', 'dev', INTERFACE, 'altname', name);
  }
  await makeBare();
  await setHeaderSplit(true);
});

const apply = (name: string): unknown =>
  nic('apply', '--interface', name, '--queues', '3', '--listen', '5201');

describe.each([INTERFACE, ALTNAME, LONG])('by the name %s', (name) => {
  it('a NIC is not prepared twice, whatever the other called it by', async () => {
    const before = await snapshot();
    const first = await prepareInterface({ interface: INTERFACE, queues: [3] });
    const again = prepareInterface({ interface: name, queues: [3] });
    await expect(again).rejects.toMatchObject({ code: 'ERR_DEVMEM_QUEUES_TAKEN' });
    const second = await prepareInterface({ interface: name, queues: [2] });
    expect(second.interface).toBe(INTERFACE);
    expect(journals()).toHaveLength(1);
    const { settings } = await first.restore();
    expect(settings).toContainEqual(
      expect.objectContaining({ what: 'header split', outcome: 'kept' }),
    );
    await second.restore();
    expect(await snapshot()).toBe(before);
    expect(journals()).toEqual([]);
  });

  it('is restored what was set up by another', async () => {
    const before = await snapshot();
    for (const [by, restoredBy] of [
      [name, INTERFACE],
      [INTERFACE, name],
    ] as const) {
      expect(apply(by)).toMatchObject({ status: 0 });
      expect(ruleCount()).toBe(2);
      const { status, stdout } = nic('restore', '--interface', restoredBy);
      expect(stdout).toContain(`${INTERFACE}, queues 3, set up by 'devmem-tcp nic apply':`);
      expect(status).toBe(0);
      expect(await snapshot()).toBe(before);
    }
  });

  it('is bound, by this process and by a broker that knows it by another', async () => {
    await setHeaderSplit(true);
    const options = { interface: name, queues: [3], memory, mode: 'devmem' } as const;
    {
      await using binding = await bindRx(options);
      expect(binding.interface).toBe(INTERFACE);
      const bound = (await binding.rxQueues()).filter(({ dmabufId }) => dmabufId !== undefined);
      expect(bound.map(({ id }) => id)).toEqual([3]);
    }
    for (const allowed of [INTERFACE, ALTNAME, LONG]) {
      const socket = '/run/devmem-tcp-names';
      await using broker = await startBroker({
        socket,
        allow: [{ interface: allowed, queues: [3] }],
      });
      await using binding = await bindRx({ ...options, broker: broker.socket });
      expect(binding.interface).toBe(INTERFACE);
      await using other = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * MiB });
      const denied = bindRx({ ...options, memory: other, queues: [2], broker: socket });
      await expect(denied).rejects.toThrow(`does not give out rx queue 2 of ${INTERFACE}`);
    }
  });

  it('is told the ring that memory has to fill', async () => {
    await setHeaderSplit(true);
    await using small = await DmaBuf.allocate({ type: 'udmabuf', size: MiB });
    const binding = bindRx({ interface: name, queues: [3], memory: small, mode: 'devmem' });
    await expect(binding).rejects.toMatchObject({ code: 'ERR_DEVMEM_MEMORY_TOO_SMALL' });
  });
});

describe('an interface that was renamed meanwhile', () => {
  let restoreName: (() => void) | undefined;
  afterEach(() => {
    restoreName?.();
    restoreName = undefined;
  });
  const renamed = (): void => {
    restoreName = rename('lan0');
  };

  it('is restored by who prepared it', async () => {
    const before = await snapshot();
    const prepared = await prepareInterface({
      interface: INTERFACE,
      queues: [3],
      flows: [{ localPort: 5201 }],
    });
    renamed();
    const report = await prepared.restore();
    expect(report.interface).toBe('lan0');
    expect(report.settings.map(({ outcome }) => outcome)).not.toContain('unchanged');
    restoreName?.();
    restoreName = undefined;
    expect(await snapshot()).toBe(before);
    expect(journals()).toEqual([]);
  });

  it.each(['lan0', INTERFACE, ALTNAME, undefined])('is restored by the name %s', async (name) => {
    const before = await snapshot();
    apply(INTERFACE);
    renamed();
    const { status, stdout } = nic('restore', ...(name === undefined ? [] : ['--interface', name]));
    expect(stdout).toContain("lan0, queues 3, set up by 'devmem-tcp nic apply':");
    expect(status).toBe(0);
    restoreName?.();
    restoreName = undefined;
    expect(await snapshot()).toBe(before);
  });

  it('has its queues taken still', async () => {
    apply(INTERFACE);
    renamed();
    const again = prepareInterface({ interface: 'lan0', queues: [3] });
    await expect(again).rejects.toMatchObject({ code: 'ERR_DEVMEM_QUEUES_TAKEN' });
    expect(nic('restore').status).toBe(0);
  });
});

/** Makes an interface; returns what takes it away, undefined where this kernel has no such. */
function make(name: string, commands: readonly string[]): (() => void) | undefined {
  const script = ['set -e', ...commands].join('\n');
  const made = spawnSync('sh', ['-c', script], { stdio: 'ignore' }).status === 0;
  if (!made) return undefined;
  return () => {
    run('ip', 'link', 'del', 'dev', name);
  };
}

// The guest's kernel warns of a bug of its own where one of these is bound, which fails
// the whole run.
describe('an interface without a device', () => {
  it.each([
    ['a VLAN', ['modprobe 8021q || true', `ip link add link ${INTERFACE} name x0 type vlan id 5`]],
    [
      'a macvlan',
      ['modprobe macvlan || true', `ip link add link ${INTERFACE} name x0 type macvlan`],
    ],
    [
      'a VLAN of a macvlan',
      [
        'modprobe -a 8021q macvlan || true',
        `ip link add link ${INTERFACE} name x1 type macvlan`,
        'ip link add link x1 name x0 type vlan id 5',
      ],
    ],
  ])('that lies on a NIC is refused, with the NIC named: %s', async (_, commands) => {
    const remove = make('x0', commands);
    if (remove === undefined) return;
    try {
      const below = `Name the NIC below it: ${INTERFACE}`;
      const options = { interface: 'x0', queues: [0], memory } as const;
      const error = await rejectionOf(bindRx({ ...options, mode: 'devmem' }));
      expect(error).toMatchObject({ code: 'ENOTSUP', hint: below });
      await using binding = await bindRx({ ...options, mode: 'auto' });
      expect(binding.fallback?.message).toContain(below);
      const plan = await planInterface({ interface: 'x0', queues: [0] });
      expect(plan.blockers[0]).toContain(below);
      const socket = '/run/devmem-tcp-names';
      await using broker = await startBroker({ socket, allow: [{ interface: 'x0' }] });
      await using other = await DmaBuf.allocate({ type: 'udmabuf', size: MiB });
      const asked = bindRx({ ...options, memory: other, mode: 'devmem', broker: broker.socket });
      await expect(asked).rejects.toMatchObject({ code: 'ENOTSUP' });
    } finally {
      remove();
      spawnSync('ip', ['link', 'del', 'dev', 'x1']);
    }
  });

  it.each([
    ['loopback', 'lo', []],
    ['a bond', 'x0', ['modprobe bonding || true', 'ip link add x0 type bond']],
    ['a bridge', 'x0', ['modprobe bridge || true', 'ip link add x0 type bridge']],
    ['a dummy', 'x0', ['modprobe dummy || true', 'ip link add x0 type dummy']],
    ['veth', 'x0', ['modprobe veth || true', 'ip link add x0 type veth peer name x1']],
  ] as const)('that lies on none is refused: %s', async (_, name, commands) => {
    const remove = make(name, commands);
    if (remove === undefined) return;
    try {
      const error = await rejectionOf(
        bindRx({ interface: name, queues: [0], memory, mode: 'devmem' }),
      );
      expect(error).toMatchObject({ code: 'ENOTSUP' });
      expect(error.message).toContain(`${name} is a virtual interface`);
    } finally {
      if (name !== 'lo') remove();
    }
  });
});
