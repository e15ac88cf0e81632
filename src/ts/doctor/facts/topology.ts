import type { Files } from '../files.js';
import { redirectsPeers } from './acs.js';

export interface PciDevice {
  /** Such as `0000:3b:00.0`. */
  address: string;
  /** Addresses of the bridges above it, the root port first. */
  bridges: string[];
  /** Its host bridge, such as `pci0000:3a`. */
  root: string;
  driver: string | undefined;
}

export interface Gpu extends PciDevice {
  vendor: 'NVIDIA' | 'AMD' | 'Intel' | 'unknown';
}

export interface TopologyFacts {
  /** Whether sysfs shows PCI devices at all. */
  sysfs: boolean;
  gpus: Gpu[];
  /** Network interfaces that are PCI devices, by name. */
  nics: ReadonlyMap<string, PciDevice>;
  iommu: {
    /** Whether there is one, and it is on. */
    active: boolean | undefined;
    /** Kinds of the groups that the devices above are in, such as `DMA-FQ` or `identity`. */
    types: string[];
  };
  /**
   * Bridges between GPUs and NICs whose access control services send requests between
   * the devices below them by way of the root; undefined: not readable.
   */
  redirecting: string[] | undefined;
}

const DEVICES = '/sys/bus/pci/devices';
const ADDRESS = /^[\da-f]{4,}:[\da-f]{2}:[\da-f]{2}\.[0-7]$/i;
const VENDORS: Readonly<Record<number, Gpu['vendor']>> = {
  0x10de: 'NVIDIA',
  0x1002: 'AMD',
  0x8086: 'Intel',
};
// linux/pci_ids.h: PCI_BASE_CLASS_DISPLAY; 0x1200 is "processing accelerators".
const DISPLAY = 0x03;
const ACCELERATOR = 0x12;

/** @param interfaces - names of network interfaces */
export function topologyFacts(files: Files, interfaces: readonly string[]): TopologyFacts {
  const gpus = findGpus(files);
  const nics = new Map<string, PciDevice>();
  for (const name of interfaces) {
    const device = pciDevice(files, `/sys/class/net/${name}/device`);
    if (device !== undefined) nics.set(name, device);
  }
  const devices = [...gpus, ...nics.values()];
  return {
    sysfs: files.exists(DEVICES),
    gpus,
    nics,
    iommu: iommu(files, devices),
    redirecting: redirecting(files, devices),
  };
}

function findGpus(files: Files): Gpu[] {
  return (files.list(DEVICES) ?? []).flatMap((address) => {
    const base = (files.number(`${DEVICES}/${address}/class`) ?? 0) >>> 16;
    const vendor = VENDORS[files.number(`${DEVICES}/${address}/vendor`) ?? 0] ?? 'unknown';
    const device = pciDevice(files, `${DEVICES}/${address}`);
    if (device === undefined) return [];
    // The display of a virtual machine or of a server's management is none to receive into.
    const usable = vendor !== 'unknown' && (base === DISPLAY || base === ACCELERATOR);
    return usable ? [{ ...device, vendor }] : [];
  });
}

// A device's real path leads through its host bridge and every bridge above it.
function pciDevice(files: Files, path: string): PciDevice | undefined {
  const parts = files.resolve(path)?.split('/') ?? [];
  const root = parts.find((part) => /^pci[\da-f]+:[\da-f]+$/i.test(part));
  const addresses = parts.filter((part) => ADDRESS.test(part));
  const address = addresses.pop();
  if (root === undefined || address === undefined) return undefined;
  return { address, bridges: addresses, root, driver: files.target(`${path}/driver`) };
}

function iommu(files: Files, devices: readonly PciDevice[]): TopologyFacts['iommu'] {
  const units = files.list('/sys/class/iommu');
  const groups = files.list('/sys/kernel/iommu_groups');
  const known = units ?? groups;
  const types = devices.flatMap(({ address }) => {
    const type = files.text(`${DEVICES}/${address}/iommu_group/type`);
    return type === undefined ? [] : [type];
  });
  return {
    active: known === undefined ? undefined : (units?.length ?? 0) + (groups?.length ?? 0) > 0,
    types: [...new Set(types)].sort(),
  };
}

function redirecting(files: Files, devices: readonly PciDevice[]): string[] | undefined {
  const bridges = [...new Set(devices.flatMap((device) => device.bridges))].sort();
  const states = bridges.map((address) => {
    const space = files.bytes(`${DEVICES}/${address}/config`);
    return { address, redirects: space === undefined ? undefined : redirectsPeers(space) };
  });
  if (states.some(({ redirects }) => redirects === undefined)) return undefined;
  return states.filter(({ redirects }) => redirects === true).map(({ address }) => address);
}
