/** The doctor's checks one by one, on facts of other machines. */
import { gzipSync } from 'node:zlib';

import { describe, expect, it } from 'vitest';

import { abilityOf } from '../../dist/doctor/checks/drivers.js';
import { checkMemory } from '../../dist/doctor/checks/memory.js';
import { checkPrivilege } from '../../dist/doctor/checks/privilege.js';
import { kernelFacts } from '../../dist/doctor/facts/kernel.js';
import { privilegeFacts } from '../../dist/doctor/facts/privilege.js';
import { atLeast, parseVersion, stableNumber } from '../../dist/kernel-version.js';
import { systemError } from '../../dist/errors.js';
import type { MemoryProbe } from '../../dist/memory/probe.js';
import { type Entry, GOOD_FILES, machine, UDMABUF } from '../support/machines.js';

describe('versions', () => {
  it('are read from releases of distributions', () => {
    expect(parseVersion('6.12.117+deb12-cloud-amd64')).toEqual({ major: 6, minor: 12 });
    expect(parseVersion('7.3-rc1')).toEqual({ major: 7, minor: 3 });
    expect(parseVersion('nonsense')).toBeUndefined();
  });

  it('compare by number, not by text', () => {
    expect(atLeast({ major: 6, minor: 9 }, 6, 12)).toBe(false);
    expect(atLeast({ major: 7, minor: 0 }, 6, 12)).toBe(true);
  });

  it.for([
    ['6.12.117+deb12-cloud-amd64', 117], // Debian
    ['6.12.58-1-lts', 58], // Arch
    ['6.12.25-32.101.amzn2023.x86_64', 25], // Amazon
    ['6.12.0', 0],
    ['6.12.0-rc3', 0],
    ['6.12-rc3', 0],
    ['6.12.0-55.el10.x86_64', undefined], // Red Hat
    ['6.12.0-100.28.2.el9uek.x86_64', undefined], // Oracle
    ['6.12.0-160000.5-default', undefined], // SUSE
    ['nonsense', undefined],
  ] as const)('%s is stable release %s', ([release, number]) => {
    expect(stableNumber(release)).toBe(number);
  });
});

describe('drivers', () => {
  const v612 = { major: 6, minor: 12 };
  it.for([
    ['devmemsim', true, v612, 'able'],
    ['mlx5_core', false, v612, 'too-old'],
    ['mlx5_core', true, v612, 'unsure'],
    ['mlx5_core', false, undefined, 'unsure'],
    ['mlx5_core', false, { major: 6, minor: 17 }, 'able'],
    ['bnxt_en', false, { major: 6, minor: 15 }, 'too-old'],
    ['gve', false, { major: 7, minor: 3 }, 'able'],
    ['virtio_net', false, { major: 7, minor: 3 }, 'unable'],
    ['constructor', false, { major: 7, minor: 3 }, 'unable'],
  ] as const)('%s, out of tree: %s, on %o: %s', ([driver, outOfTree, kernel, ability]) => {
    expect(abilityOf(driver, outOfTree, kernel).ability).toBe(ability);
  });
});

describe("the kernel's configuration", () => {
  const config = async (entries: Record<string, Entry>) =>
    (await kernelFacts(machine({ release: '6.12.1' }, entries))).config;

  it('comes from /proc/config.gz', async () => {
    const text = '# CONFIG_UDMABUF is not set\nCONFIG_NET_DEVMEM=y\n';
    const found = await config({ '/proc/config.gz': gzipSync(text) });
    expect(found?.source).toBe('/proc/config.gz');
    expect(found?.option('NET_DEVMEM')).toBe('y');
    expect(found?.option('UDMABUF')).toBeUndefined();
  });

  it('else from /boot', async () => {
    const found = await config({
      '/proc/config.gz': 'broken',
      '/boot/config-6.12.1': 'CONFIG_UDMABUF=m\n',
    });
    expect(found?.source).toBe('/boot/config-6.12.1');
    expect(found?.option('UDMABUF')).toBe('m');
  });

  it('is unknown where the file is of another kind', async () => {
    expect(await config({ '/boot/config-6.12.1': 'hello' })).toBeUndefined();
  });
});

describe('memory', () => {
  type Udmabuf = Extract<MemoryProbe, { type: 'udmabuf' }>;
  const udmabuf = UDMABUF.find((each): each is Udmabuf => each.type === 'udmabuf')!;
  const none = {
    ...udmabuf,
    available: false,
    reason: 'open ENOENT',
    error: systemError(-2, 'open', { subject: '/dev/udmabuf' }),
  };
  /** The finding, of a machine with these probes in place of those with udmabuf alone. */
  function find(
    id: string,
    probes: MemoryProbe[],
    { config, nvidia = false }: { config?: Record<string, string>; nvidia?: boolean } = {},
  ) {
    const types = new Set(probes.map(({ type }) => type));
    const all = [...UDMABUF.filter(({ type }) => !types.has(type)), ...probes];
    const findings = checkMemory(
      { probes: all, nvidia },
      config && { source: 'config', option: (name) => config[name] },
    );
    return findings.find((each) => each.id === id);
  }

  it('is missing without udmabuf, and told how to load it', () => {
    expect(find('memory.udmabuf', [none])).toMatchObject({
      status: 'missing',
      title: 'No /dev/udmabuf',
      commands: ['modprobe udmabuf'],
    });
  });

  it('says so where the kernel was built without', () => {
    const finding = find('memory.udmabuf', [none], { config: { NET: 'y' } });
    expect(finding?.fix).toContain('CONFIG_UDMABUF');
    expect(finding?.commands).toBeUndefined();
  });

  it('passes on why it was refused, where it was not for want of the device', () => {
    const refused = { ...none, reason: 'open EACCES: ask', error: systemError(-13, 'open') };
    const finding = find('memory.udmabuf', [refused]);
    expect(finding).toMatchObject({ status: 'missing', fix: 'open EACCES: ask.' });
    expect(finding?.commands).toBeUndefined();
  });

  it('is there by a heap alone', () => {
    const heap: MemoryProbe = {
      type: 'dma-heap',
      available: true,
      heaps: [
        { name: 'system', available: true },
        { name: 'reserved', available: false },
      ],
    };
    expect(find('memory.udmabuf', [none, heap])?.status).toBe('warning');
    expect(find('memory.dma-heap', [none, heap])).toMatchObject({
      status: 'ok',
      title: 'dma-heap: system',
    });
  });

  it('warns of the limit that old kernels have', () => {
    const small = { ...udmabuf, sizeLimitBytes: 64 * 2 ** 20 };
    expect(find('memory.udmabuf-limit', [small])).toMatchObject({
      status: 'warning',
      commands: ['echo 1024 > /sys/module/udmabuf/parameters/size_limit_mb'],
    });
  });

  it('counts huge pages', () => {
    const pages = { size: '2M', pageBytes: 2 ** 21, total: 8, free: 5 } as const;
    const host: MemoryProbe = { type: 'host', available: true, hugePages: [pages] };
    expect(find('memory.huge-pages', [host])?.title).toBe('Free huge pages: 5 of 8 (2M)');
  });

  it("misses CUDA only where NVIDIA's driver is", () => {
    const cuda: MemoryProbe = { type: 'cuda', available: false, devices: [], reason: 'no lib' };
    expect(find('memory.cuda', [cuda])).toBeUndefined();
    expect(find('memory.cuda', [cuda], { nvidia: true })).toMatchObject({
      status: 'warning',
      fix: 'no lib.',
    });
  });
});

describe('privilege', () => {
  const v73 = { major: 7, minor: 3 };
  const check = async (changes: Record<string, Entry>, version = v73, broker?: string) => {
    const facts = await privilegeFacts(machine({}, { ...GOOD_FILES, ...changes }), broker);
    return checkPrivilege(facts, version)[0];
  };

  it('is missing without CAP_NET_ADMIN', async () => {
    const finding = await check({ '/proc/self/status': 'CapEff:\t00000000a80425fb\n' });
    // What a container gets by default: without bit 12.
    expect(finding).toMatchObject({ id: 'privilege.net-admin', status: 'missing' });
    expect(finding?.commands?.[0]).toContain('setcap');
  });

  it('is there with bit 12 alone', async () => {
    const finding = await check({ '/proc/self/status': 'CapEff:\t0000000000001000\n' });
    expect(finding?.status).toBe('ok');
  });

  it('does not count in an inner user namespace before 7.2', async () => {
    const inner = { '/proc/self/uid_map': '0 1000 1\n' };
    expect((await check(inner, { major: 6, minor: 12 }))?.status).toBe('missing');
    expect((await check(inner, { major: 7, minor: 2 }))?.status).toBe('ok');
  });

  it.for([
    ['is no socket', '/run/broker', { '/run/broker': '' }],
    ['is not there', '/run/none', {}],
  ] as const)('is missing where the broker %s', async ([, path, entries]) => {
    const finding = await check(entries, v73, path);
    expect(finding).toMatchObject({ id: 'privilege.broker', status: 'missing' });
    expect(finding?.commands).toEqual([`devmem-tcp broker --socket ${path} --allow IF:QUEUES`]);
  });
});
