import { describe, expect, it } from 'vitest';

import { renderReport } from '../../dist/cli/doctor/render.js';
import { diagnose, examine } from '../../dist/doctor/diagnose.js';
import type { Machine } from '../../dist/doctor/machine.js';
import type { Finding } from '../../dist/doctor/report.js';
import type { Link } from '../../dist/nic/netlink/link.js';
import { printable, shellWord } from '../../dist/nic/quoting.js';
import { ENOPROTOOPT, ETH1, GOOD_FILES, machine, queue, RINGS } from '../support/machines.js';

// But for the ends of lines.
const CONTROL = /(?!\n)\p{Cc}/u;

const missing = (findings: Finding[]): string[] =>
  findings.filter(({ status }) => status === 'missing').map(({ id }) => id);

describe('a machine that lacks nothing', () => {
  it('is ready, with the interface named', async () => {
    const report = await examine(machine(), {});
    expect(missing(report.findings)).toEqual([]);
    expect(report).toMatchObject({ ready: true, kernel: '7.3.4-amd64', interfaces: ['eth1'] });
  });

  it('begins with what may take it down', async () => {
    const { findings } = await examine(machine(), {});
    expect(findings[0]).toMatchObject({ id: 'kernel.urgent-data', status: 'warning' });
    // One command, which nft takes with its lines as with spaces in their place.
    expect(findings[0]?.commands?.map((command) => command.split(/\s+/).join(' '))).toEqual([
      `nft 'table netdev devmem { chain ingress { type filter hook ingress device "eth1" priority 0; tcp flags & urg == urg counter drop; }; }'`,
    ]);
  });

  it('does not warn of that on a patched kernel, nor on one that cannot bind', async () => {
    const symbols = { '/proc/kallsyms': '0000000000000000 t tcp_urg_unreadable\n' };
    const patched = await examine(machine({}, { ...GOOD_FILES, ...symbols }), {});
    expect(patched.findings[0]).toMatchObject({ id: 'kernel.urgent-data', status: 'ok' });
    const old = await examine(machine({ canBindRx: () => Promise.resolve(false) }), {});
    expect(old.findings.some(({ id }) => id === 'kernel.urgent-data')).toBe(false);
  });

  it('warns of packet sockets, of those that are open most of all', async () => {
    const find = async (files: Record<string, string>): Promise<Finding | undefined> => {
      const { findings } = await examine(machine({}, { ...GOOD_FILES, ...files }), {});
      return findings.find(({ id }) => id === 'kernel.packet-sockets');
    };
    const none = 'sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n';
    const one = `${none}0000000000000000 3      3    0003   2     1 0      0      41523\n`;
    const closed = await find({ '/proc/net/packet': none });
    expect(closed).toMatchObject({ status: 'warning', commands: ['ss --packet --processes'] });
    expect(closed?.title).not.toContain('open');
    expect((await find({ '/proc/net/packet': one }))?.title).toMatch(/, and one is open$/);
    expect((await find({ '/proc/net/packet': one + one.split('\n')[1]! }))?.title).toMatch(
      /, and 2 are open$/,
    );
    for (const name of ['get_netmem', '__get_netmem']) {
      const kallsyms = `0000000000000000 T ${name}\n`;
      const warned = await find({ '/proc/kallsyms': kallsyms, '/proc/net/packet': one });
      expect(warned?.title).toMatch(/can cost a stream its bytes, and one is open$/);
    }
    for (const name of ['skb_net_iov_ref', 'net_devmem_page_offset', 'sk_psock_unreadable_waits']) {
      const kallsyms = `0000000000000000 T ${name}\n`;
      expect(await find({ '/proc/kallsyms': kallsyms })).toMatchObject({ status: 'ok' });
    }
    const others = await find({ '/proc/kallsyms': '0000000000000000 T get_netmem_count\n' });
    expect(others?.title).toContain('can panic this kernel');
  });

  it('is ready although another interface cannot', async () => {
    const eth0 = { ...ETH1, name: 'eth0', index: 2 };
    const report = await examine(machine({ links: () => Promise.resolve([eth0, ETH1]) }), {});
    expect(report).toMatchObject({ ready: true, interfaces: ['eth1'] });
    expect(missing(report.findings)).toEqual(['interface.driver']);
  });

  it('is asked for by any name of the interface', async () => {
    const named = { ...ETH1, alternativeNames: ['enp59s0f0np0'] };
    const eth0 = { ...ETH1, name: 'eth0', index: 2 };
    const links = (): Promise<Link[]> => Promise.resolve([eth0, named]);
    const report = await examine(machine({ links }), { interface: 'enp59s0f0np0' });
    expect(report).toMatchObject({ ready: true, interfaces: ['eth1'] });
    expect(report.findings.some((each) => each.interface === 'eth0')).toBe(false);
  });

  it('is not when it is that other interface that is asked for', async () => {
    const eth0 = { ...ETH1, name: 'eth0', index: 2 };
    const links = (): Promise<(typeof ETH1 | typeof eth0)[]> => Promise.resolve([eth0, ETH1]);
    const report = await examine(machine({ links }), { interface: 'eth0' });
    expect(report).toMatchObject({ ready: false, interfaces: [] });
    expect(report.findings.some((each) => each.interface === 'eth1')).toBe(false);
  });
});

const NO_ADDON = { reason: 'the file is cut short', remedy: 'Build it', command: 'node-gyp build' };

/** One thing wrong each, and the finding that says so. */
const FAULTS: [what: string, id: string, changes: Partial<Machine>][] = [
  ['the kernel has no bind-rx', 'kernel.bind-rx', { canBindRx: () => Promise.resolve(false) }],
  ['netlink does not answer', 'kernel.bind-rx', { canBindRx: () => Promise.resolve(undefined) }],
  ['the addon is missing', 'kernel.addon', { unsupported: NO_ADDON }],
  ['there is no DONTNEED', 'kernel.dontneed', { dontneedError: () => ENOPROTOOPT }],
  ['the driver is unknown', 'interface.driver', { driver: () => Promise.resolve(undefined) }],
  ['the kernel is too old for it', 'interface.driver', { release: '6.12.117' }],
  ['nothing can be allocated', 'memory.list', { memory: () => Promise.resolve(undefined) }],
  ['interfaces are unknown', 'interface.list', { links: () => Promise.resolve(undefined) }],
  ['there is no interface', 'interface.list', { links: () => Promise.resolve([]) }],
  ['it is down', 'interface.up', { links: () => Promise.resolve([{ ...ETH1, state: 'down' }]) }],
  [
    'an XDP program is attached',
    'interface.xdp',
    { links: () => Promise.resolve([{ ...ETH1, xdpProgram: 7, xdpMode: 'driver' }]) },
  ],
  [
    'all queues are bound',
    'interface.bound',
    { rxQueues: () => Promise.resolve([{ ...queue(0), dmabufId: 7 }]) },
  ],
  [
    'AF_XDP has the queues',
    'interface.bound',
    { rxQueues: () => Promise.resolve([{ ...queue(0), otherUser: 'AF_XDP' }]) },
  ],
];

describe('a token queue', () => {
  const REFUSAL = { message: 'this kernel has none', hint: undefined };
  const found = async (changes: Partial<Machine>): Promise<Finding | undefined> => {
    const report = await examine(machine(changes), {});
    return report.findings.find(({ id }) => id === 'kernel.token-queue');
  };

  it('is told of where there is one', async () => {
    expect(await found({})).toMatchObject({
      status: 'ok',
      title: "Fragments go back without system calls (transport 'queue')",
    });
  });

  it('is not needed where there is none, and the reason told', async () => {
    const finding = await found({ tokenQueue: () => REFUSAL });
    expect(finding).toMatchObject({ status: 'ok', why: 'this kernel has none.' });
    expect(finding?.title).toContain("'cmsg' does without");
  });

  it('is not spoken of where nothing is known, or there is no path that it would serve', async () => {
    expect(await found({ tokenQueue: () => undefined })).toBeUndefined();
    const pathless = { tokenQueue: () => REFUSAL, dontneedError: () => ENOPROTOOPT };
    expect(await found(pathless)).toBeUndefined();
  });
});

describe('io_uring', () => {
  const found = async (changes: Partial<Machine>): Promise<Finding | undefined> => {
    const report = await examine(machine(changes), {});
    expect(report.ready).toBe(true);
    return report.findings.find(({ id }) => id === 'kernel.zcrx');
  };

  it('is told of where it can receive', async () => {
    expect(await found({})).toMatchObject({
      status: 'ok',
      title: "io_uring can receive into dma-bufs, too (transport 'zcrx')",
    });
    expect((await found({}))?.why).toBeUndefined();
  });

  it('is limited to 4 GiB by kernels that count in 32 bits', async () => {
    const finding = await found({ release: '7.3.2-amd64' });
    expect(finding?.why).toContain('4 GiB at most');
  });

  it('is not needed where it cannot, and the reason told', async () => {
    const refusal = { message: 'io_uring is disabled', hint: undefined };
    const finding = await found({ zcrx: () => refusal });
    expect(finding).toMatchObject({ status: 'ok', why: 'io_uring is disabled.' });
    expect(finding?.title).toContain("'cmsg' does without");
  });

  it('is not spoken of where nothing is known', async () => {
    expect(await found({ zcrx: () => undefined })).toBeUndefined();
  });
});

describe('a machine is not ready where', () => {
  it.for(FAULTS)('%s', async ([, id, changes]) => {
    const report = await examine(machine(changes), {});
    expect(missing(report.findings)).toEqual([id]);
    expect(report.ready).toBe(false);
    const finding = report.findings.find((each) => each.id === id && each.status === 'missing');
    expect(finding?.why).toMatch(/\w/);
    expect(finding?.fix).toMatch(/\w/);
  });

  it.for([['privilege.net-admin', '/proc/self/status']])(
    '%s: %s is not there',
    async ([id, path]) => {
      const entries = Object.fromEntries(
        Object.entries(GOOD_FILES).filter(([name]) => name !== path),
      );
      const report = await examine(machine({}, entries), {});
      expect(missing(report.findings)).toEqual([id]);
      expect(report.ready).toBe(false);
    },
  );
});

const switchedOff = (off: boolean) => Promise.resolve({ active: !off, changeable: true });

/** What recv sets by itself is a warning: it does not stand in the way. */
const WARNINGS: [what: string, id: string, command: string, changes: Partial<Machine>][] = [
  [
    'header split is off',
    'interface.header-split',
    'ethtool -G eth1 tcp-data-split on',
    { rings: () => Promise.resolve({ ...RINGS, tcpDataSplit: 'disabled' }) },
  ],
  [
    'small packets are not split',
    'interface.hds-thresh',
    'ethtool -G eth1 hds-thresh 0',
    { rings: () => Promise.resolve({ ...RINGS, hdsThreshold: 256 }) },
  ],
  [
    'flow rules are off',
    'interface.ntuple',
    'ethtool -K eth1 ntuple on',
    { feature: (_, name) => switchedOff(name === 'rx-ntuple-filter') },
  ],
  [
    'mlx5 does not merge packets',
    'interface.hw-gro',
    'ethtool -K eth1 rx-gro-hw on',
    { feature: (_, name) => switchedOff(name === 'rx-gro-hw') },
  ],
  [
    'it has one queue',
    'interface.queues',
    'ethtool -L eth1 combined 2',
    { rxQueues: () => Promise.resolve([queue(0)]) },
  ],
];

describe('a machine is ready, with a warning and the command that mends it, where', () => {
  it.for(WARNINGS)('%s', async ([, id, command, changes]) => {
    const { ready, findings } = await examine(machine(changes), {});
    expect(ready).toBe(true);
    expect(findings.find((each) => each.id === id)).toMatchObject({
      status: 'warning',
      interface: 'eth1',
      commands: [command],
    });
  });
});

describe('where a broker binds, and nobody else has the privilege', () => {
  const unprivileged = { ...GOOD_FILES, '/proc/self/status': 'CapEff:\t0000000000000000\n' };
  const broker = '/run/broker';
  const at = (changes: Partial<Machine> = {}) =>
    examine(machine({ listens: () => Promise.resolve(true), ...changes }, unprivileged), {
      broker,
    });

  it('misses nothing where it listens', async () => {
    const report = await at();
    expect(missing(report.findings)).toEqual([]);
    expect(report.ready).toBe(true);
  });

  it('misses the settings that only others can change', async () => {
    const rings = { ...RINGS, tcpDataSplit: 'disabled', hdsThreshold: 256 } as const;
    const report = await at({ rings: () => Promise.resolve(rings) });
    expect(missing(report.findings)).toEqual(['interface.header-split', 'interface.hds-thresh']);
    expect(report.ready).toBe(false);
  });
});

describe('an interface without a device', () => {
  const bond = { ...ETH1, name: 'bond0', index: 9, parent: undefined, kind: 'bond' };
  const vlan = { ...bond, name: 'bond0.5', index: 10, kind: 'vlan', lower: 9 };
  const lo = { ...bond, name: 'lo', index: 1, kind: undefined, loopback: true };
  const links = (): Promise<Link[]> => Promise.resolve([lo, { ...ETH1, master: 9 }, bond, vlan]);

  it.for([
    ['bond0', 'Name the NIC below it: eth1.'],
    ['bond0.5', 'Name the NIC below it: eth1.'],
    ['lo', 'Name a NIC; there is none below it.'],
  ] as const)('is told what to name in its place: %s', async ([name, fix]) => {
    const { ready, findings } = await examine(machine({ links }), { interface: name });
    expect(ready).toBe(false);
    expect(findings.find(({ id }) => id === 'interface.driver')).toMatchObject({
      interface: name,
      title: expect.stringContaining('No device behind it') as string,
      fix,
    });
  });
});

describe('a name that a shell or a terminal takes for something else', () => {
  const NAMES = [
    'x;reboot',
    'a$(id)',
    "q'q",
    'q"q',
    '`id`',
    'b\x1b[31mred',
    'e\x07',
    '\x9b1m',
    '|x',
  ];
  const nothing = (): Promise<undefined> => Promise.resolve(undefined);
  const off = { active: false, changeable: true };

  /** All that could be said of an interface. */
  async function said(name: string): Promise<Finding[]> {
    const links = (): Promise<Link[]> =>
      Promise.resolve([{ ...ETH1, name, state: 'down', xdpProgram: 7, xdpMode: 'driver' }]);
    const common = { links, rxQueues: () => Promise.resolve([queue(0)]) };
    const rings = { ...RINGS, tcpDataSplit: 'disabled', hdsThreshold: 256 } as const;
    const reports = await Promise.all([
      examine(machine({ ...common, driver: nothing }), {}),
      examine(machine({ ...common, driver: nothing }, { '/sys/class/net/x': '' }), {}),
      examine(
        machine({
          ...common,
          driver: () => Promise.resolve('mlx5_core'),
          rings: () => Promise.resolve(rings),
          feature: () => Promise.resolve(off),
        }),
        {},
      ),
      examine(machine({ links: () => Promise.resolve([{ ...ETH1, name }]) }), {}),
      examine(machine({ links: () => Promise.resolve([]) }), { interface: name }),
    ]);
    const texts = reports.map((report) => renderReport(report, 80, (_style, text) => text));
    for (const text of texts) expect(text).not.toMatch(CONTROL);
    return reports.flatMap(({ findings }) => findings);
  }

  it.for(NAMES)('is quoted in commands and escaped in lines: %j', async (name) => {
    const findings = await said(name);
    const commands = findings.flatMap((each) => each.commands ?? []);
    const naming = commands.filter((command) => /^(ethtool|ip link set)/.test(command));
    expect(naming.length).toBeGreaterThan(6);
    for (const command of naming) expect(command).toContain(` ${shellWord(name)}`);
    const nft = commands.filter((command) => command.startsWith('nft'));
    expect(nft.length).toBeGreaterThan(0);
    const plain = !name.includes('"') && printable(name) === name;
    for (const command of nft.filter((each) => !each.includes('device "IF"'))) {
      expect(plain).toBe(true);
      expect(command).toContain(`device "${name.replaceAll("'", "'\\''")}"`);
    }
    const words = findings.flatMap(({ title, why, fix }) => [title, why, fix]).join('\n');
    expect(words).not.toMatch(CONTROL);
  });

  it('is refused where it is none: with a colon, or longer than there are', async () => {
    for (const name of ['eth1:2', '', 'x'.repeat(128)]) {
      await expect(diagnose({ interface: name })).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_VALUE',
      });
    }
  });
});

it('says on other systems that they are not Linux, and nothing else', async () => {
  const { ready, findings } = await examine(machine({ platform: 'darwin' }), {});
  expect(ready).toBe(false);
  expect(findings).toMatchObject([{ id: 'kernel.platform', status: 'missing' }]);
});

it('survives files that make no sense', async () => {
  const garbage = Object.fromEntries(
    Object.keys(GOOD_FILES)
      .filter((path) => !path.endsWith('/driver'))
      .map((path) => [path, '\0\xff -1e99 NaN \n\n:::']),
  );
  const entries = { ...garbage, '/proc/config.gz': 'not gzip', '/proc/driver/nvidia/version': '?' };
  const report = await examine(machine({ release: 'nonsense' }, entries), {});
  expect(report.ready).toBe(false);
  expect(missing(report.findings)).toContain('privilege.net-admin');
});

it('survives a machine of which nothing can be read', async () => {
  const nothing = machine(
    {
      unsupported: NO_ADDON,
      memory: () => Promise.resolve(undefined),
      canBindRx: () => Promise.resolve(undefined),
      dontneedError: () => undefined,
      links: () => Promise.resolve([ETH1]),
      rxQueues: () => Promise.resolve(undefined),
      rings: () => Promise.resolve(undefined),
      feature: () => Promise.resolve(undefined),
      driver: () => Promise.resolve(undefined),
    },
    {},
  );
  const { ready, findings } = await examine(nothing, {});
  expect(ready).toBe(false);
  const unknown = findings.filter(({ title }) => /unknown/i.test(title)).map(({ id }) => id);
  expect(unknown).toEqual(
    expect.arrayContaining([
      'kernel.bind-rx',
      'kernel.dontneed',
      'interface.driver',
      'interface.queues',
      'interface.header-split',
      'interface.ntuple',
      'memory.list',
      'topology.iommu',
      'privilege.net-admin',
    ]),
  );
});

it('refuses options that are no strings', async () => {
  await expect(diagnose({ interface: 7 as unknown as string })).rejects.toMatchObject({
    code: 'ERR_INVALID_ARG_TYPE',
  });
});
