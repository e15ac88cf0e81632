/** Whether NIC and GPU can reach each other well, and known traps with GPU memory. */
import { printable } from '../../nic/quoting.js';
import type { Gpu, PciDevice, TopologyFacts } from '../facts/topology.js';
import type { Finding, Part } from '../report.js';

/** @param interfaces - the ones that could receive */
export function checkTopology(facts: TopologyFacts, interfaces: readonly string[]): Finding[] {
  const parts: (Part | undefined)[] = [iommu(facts)];
  // All of the rest is about GPUs.
  if (facts.gpus.length > 0) {
    parts.push(acs(facts), ...amd(facts));
    for (const name of interfaces) parts.push(...pairs(facts, name));
  }
  return parts.filter((part) => part !== undefined).map((part) => ({ area: 'topology', ...part }));
}

function iommu({ iommu, sysfs, gpus }: TopologyFacts): Part {
  const id = 'topology.iommu';
  if (iommu.active === undefined) {
    const what = sysfs ? 'an IOMMU is on' : 'there is a GPU, or an IOMMU';
    return {
      id,
      status: 'warning',
      title: `Unknown whether ${what}`,
      why: 'sysfs tells, and it is not there.',
    };
  }
  if (!iommu.active) return { id, status: 'ok', title: 'No IOMMU between devices and memory' };
  const types = iommu.types.length === 0 ? 'on' : iommu.types.join(', ');
  const translates = iommu.types.some((type) => type !== 'identity');
  if (gpus.length === 0 || !translates) return { id, status: 'ok', title: `IOMMU: ${types}` };
  return {
    id,
    status: 'warning',
    title: `The IOMMU translates (${types})`,
    why: 'Requests from NIC to GPU then often go up to the root and back, which costs bandwidth.',
    fix: 'Where no virtual machine needs it, boot with iommu=pt on the command line of the kernel.',
  };
}

function acs({ redirecting }: TopologyFacts): Part | undefined {
  const id = 'topology.acs';
  if (redirecting === undefined) {
    return {
      id,
      status: 'warning',
      title: 'Unknown whether ACS sends peer requests to the root',
      why: 'The configuration space of bridges is for root to read.',
      fix: 'Run the doctor as root.',
    };
  }
  if (redirecting.length === 0) {
    return { id, status: 'ok', title: 'ACS lets devices below one bridge talk directly' };
  }
  return {
    id,
    status: 'warning',
    title: `ACS of ${redirecting.join(', ')} sends peer requests to the root`,
    why: 'NIC and GPU below one switch then talk by way of the CPU, slowly or not at all.',
    fix: 'Turn it off in the firmware, or until the next boot (it also isolates devices given to virtual machines):',
    commands: redirecting.map((address) => `setpci -s ${address} ECAP_ACS+6.w=0:2c`),
  };
}

function amd({ gpus }: TopologyFacts): Part[] {
  const affected = gpus.filter((gpu) => gpu.driver === 'amdgpu');
  if (affected.length === 0) return [];
  return [
    {
      id: 'topology.amdgpu',
      status: 'warning',
      title: `Do not receive into memory of the AMD GPU ${affected.map(({ address }) => address).join(', ')}`,
      why: 'amdgpu moves memory that a NIC attaches to into host memory, while the GPU goes on to read its own: data ends up where nobody looks.',
      fix: 'Receive into udmabuf and copy, or verify what the GPU sees before relying on it.',
    },
  ];
}

function pairs(facts: TopologyFacts, name: string): Part[] {
  const nic = facts.nics.get(name);
  if (nic === undefined) {
    const nvidia = facts.gpus.some((gpu) => gpu.vendor === 'NVIDIA');
    return nvidia ? [noPciParent(name)] : [];
  }
  return facts.gpus.filter((gpu) => gpu.driver !== 'amdgpu').map((gpu) => pair(gpu, name, nic));
}

function noPciParent(name: string): Part {
  return {
    id: 'topology.cuda-parent',
    status: 'warning',
    title: `Do not bind CUDA memory to ${printable(name)}: it is no PCI device`,
    why: "NVIDIA's exporter takes whatever attaches for a PCI device (nv_dma_buf_attach) and reads past the end of any other: the kernel may crash.",
    fix: `Use udmabuf or a dma-heap on ${printable(name)}.`,
  };
}

function pair(gpu: Gpu, name: string, nic: PciDevice): Part {
  const id = 'topology.pair';
  const what = `${gpu.vendor} GPU ${gpu.address} and ${printable(name)} (${nic.address})`;
  const shared = gpu.bridges.filter((bridge) => nic.bridges.includes(bridge));
  if (shared.length > 0) {
    return { id, status: 'ok', title: `${what} share the bridge ${shared.at(-1)}` };
  }
  const why =
    'Requests between them pass the CPU: slower, and where the platform forbids it binding fails with EREMOTEIO.';
  const fix = 'Choose a GPU and a NIC below the same PCIe switch, where there are such.';
  if (gpu.root === nic.root) {
    return { id, status: 'warning', title: `${what} share a host bridge only`, why, fix };
  }
  return { id, status: 'warning', title: `${what} have different host bridges`, why, fix };
}
