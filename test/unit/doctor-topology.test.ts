import { describe, expect, it } from 'vitest';

import { checkTopology } from '../../dist/doctor/checks/topology.js';
import { redirectsPeers } from '../../dist/doctor/facts/acs.js';
import { topologyFacts } from '../../dist/doctor/facts/topology.js';
import { Files } from '../../dist/doctor/files.js';
import { type Entry, tree } from '../support/machines.js';

const NVIDIA = '0x10de\n';
const AMD = '0x1002\n';
const DISPLAY = '0x030200\n';
const NETWORK = '0x020000\n';

/** A PCI device below the bridges of a path such as `pci0000:3a/0000:3a:00.0/0000:3b:00.0`. */
function device(path: string, vendor: string, kind: string): Record<string, Entry> {
  const folder = `/sys/devices/${path}`;
  const address = path.split('/').at(-1)!;
  return {
    [`${folder}/class`]: kind,
    [`${folder}/vendor`]: vendor,
    [`/sys/bus/pci/devices/${address}`]: { link: `../../../devices/${path}` },
  };
}

/** A bridge's configuration space, with the ACS control register or none. */
function space(control?: number): Uint8Array {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  // AER first, ACS behind it.
  view.setUint32(0x100, 0x0001 | (1 << 16) | (0x148 << 20), true);
  if (control !== undefined) {
    view.setUint32(0x148, 0x000d | (1 << 16), true);
    view.setUint16(0x148 + 6, control, true);
  }
  return bytes;
}

function bridge(path: string, bytes: Uint8Array): Record<string, Entry> {
  const address = path.split('/').at(-1)!;
  return {
    [`/sys/devices/${path}/config`]: bytes,
    [`/sys/bus/pci/devices/${address}`]: { link: `../../../devices/${path}` },
  };
}

const SWITCH = 'pci0000:3a/0000:3a:00.0';
const nic = {
  ...device(`${SWITCH}/0000:3b:00.0`, '0x15b3\n', NETWORK),
  '/sys/class/net/eth1/device': { link: `../../../devices/${SWITCH}/0000:3b:00.0` },
};

function examine(entries: Record<string, Entry>) {
  const facts = topologyFacts(new Files(tree(entries)), ['eth1']);
  const findings = checkTopology(facts, ['eth1']);
  return { facts, find: (id: string) => findings.find((each) => each.id === id), findings };
}

describe('a GPU and a NIC', () => {
  it('below one switch are close', () => {
    const { find } = examine({
      ...nic,
      ...bridge(SWITCH, space(0)),
      ...device(`${SWITCH}/0000:3c:00.0`, NVIDIA, DISPLAY),
    });
    expect(find('topology.pair')).toMatchObject({ status: 'ok' });
    expect(find('topology.pair')?.title).toContain('share the bridge 0000:3a:00.0');
    expect(find('topology.acs')).toMatchObject({ status: 'ok' });
  });

  it('below two root ports meet at the host bridge', () => {
    const gpu = device('pci0000:3a/0000:3a:01.0/0000:3d:00.0', NVIDIA, DISPLAY);
    const pair = examine({ ...nic, ...gpu }).find('topology.pair');
    expect(pair).toMatchObject({ status: 'warning' });
    expect(pair?.title).toContain('share a host bridge only');
  });

  it('below two host bridges are far apart', () => {
    const gpu = device('pci0000:b0/0000:b0:01.0/0000:b1:00.0', NVIDIA, DISPLAY);
    const pair = examine({ ...nic, ...gpu }).find('topology.pair');
    expect(pair?.title).toContain('have different host bridges');
    expect(pair?.why).toContain('EREMOTEIO');
  });

  it('are kept apart where the NIC is no PCI device', () => {
    const gpu = device(`${SWITCH}/0000:3c:00.0`, NVIDIA, DISPLAY);
    const finding = examine(gpu).find('topology.cuda-parent');
    expect(finding).toMatchObject({ status: 'warning' });
    expect(finding?.title).toContain('CUDA');
  });
});

it('warns of memory of AMD GPUs, and takes no position for granted', () => {
  const path = `${SWITCH}/0000:3c:00.0`;
  const { findings, find } = examine({
    ...nic,
    ...device(path, AMD, DISPLAY),
    [`/sys/devices/${path}/driver`]: { link: '../../../../bus/pci/drivers/amdgpu' },
    '/sys/bus/pci/drivers/amdgpu/uevent': '',
  });
  expect(find('topology.amdgpu')).toMatchObject({ status: 'warning' });
  expect(findings.some(({ id }) => id === 'topology.pair')).toBe(false);
});

it("does not take a server's management display for a GPU", () => {
  const { facts } = examine(device('pci0000:00/0000:00:1c.0', '0x1a03\n', '0x030000\n'));
  expect(facts.gpus).toEqual([]);
});

describe('access control services', () => {
  it.for([
    ['redirect of requests', 0x04, true],
    ['source validation alone', 0x01, false],
    ['nothing', 0, false],
  ] as const)('with %s: %s', ([, control, expected]) => {
    expect(redirectsPeers(space(control))).toBe(expected);
  });

  it('are not there on a bridge without', () => {
    expect(redirectsPeers(space())).toBe(false);
    expect(redirectsPeers(new Uint8Array(256))).toBe(false);
  });

  it('are unknown to who may read 64 bytes', () => {
    expect(redirectsPeers(new Uint8Array(64))).toBeUndefined();
  });

  it('survive a list of capabilities that loops', () => {
    const bytes = new Uint8Array(4096);
    new DataView(bytes.buffer).setUint32(0x100, 0x0001 | (1 << 16) | (0x100 << 20), true);
    expect(redirectsPeers(bytes)).toBe(false);
  });

  it('survive a list that leads outside', () => {
    const bytes = new Uint8Array(4096);
    new DataView(bytes.buffer).setUint32(0x100, 0xffff0001, true);
    expect(redirectsPeers(bytes)).toBe(false);
  });

  it('are named with the command that turns them off', () => {
    const { find } = examine({
      ...nic,
      ...bridge(SWITCH, space(0x1d)),
      ...device(`${SWITCH}/0000:3c:00.0`, NVIDIA, DISPLAY),
    });
    expect(find('topology.acs')).toMatchObject({
      status: 'warning',
      commands: ['setpci -s 0000:3a:00.0 ECAP_ACS+6.w=0:2c'],
    });
  });
});

describe('the IOMMU', () => {
  const gpu = device(`${SWITCH}/0000:3c:00.0`, NVIDIA, DISPLAY);
  const group = (type: string): Record<string, Entry> => ({
    '/sys/class/iommu/dmar0/uevent': '',
    '/sys/kernel/iommu_groups/7/type': type,
    [`/sys/devices/${SWITCH}/0000:3c:00.0/iommu_group`]: {
      link: '../../../../kernel/iommu_groups/7',
    },
  });

  it('is warned of where it translates for a GPU', () => {
    const finding = examine({ ...nic, ...gpu, ...group('DMA-FQ\n') }).find('topology.iommu');
    expect(finding).toMatchObject({ status: 'warning' });
    expect(finding?.title).toContain('DMA-FQ');
  });

  it('is fine where it passes through', () => {
    const finding = examine({ ...nic, ...gpu, ...group('identity\n') }).find('topology.iommu');
    expect(finding).toMatchObject({ status: 'ok' });
  });

  it('is unknown without sysfs', () => {
    expect(examine({}).find('topology.iommu')?.title).toContain('Unknown');
  });
});
