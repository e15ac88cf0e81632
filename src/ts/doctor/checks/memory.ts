/** Whether there is memory that a NIC can receive into. */
import { isSystemError } from '../../errors.js';
import type {
  CudaProbe,
  DmaHeapProbe,
  HostProbe,
  MemoryProbe,
  UdmabufProbe,
} from '../../memory/probe.js';
import type { KernelConfig } from '../facts/kernel.js';
import type { Finding, Part } from '../report.js';

export interface MemoryFacts {
  /** What allocating said; undefined: nothing could be tried. */
  probes: MemoryProbe[] | undefined;
  /** Whether NVIDIA's kernel driver is loaded: without it, CUDA is nothing to miss. */
  nvidia: boolean;
}

/** Below this a queue or two with usual rings leave no room for the consumer. */
const SMALL_LIMIT_MIB = 256;
const MiB = 2 ** 20;

export function checkMemory(facts: MemoryFacts, config: KernelConfig | undefined): Finding[] {
  const { probes } = facts;
  if (probes === undefined) return [unknown()];
  const enough = probes.some(({ type, available }) => type !== 'host' && available);
  const parts = probes.map((probe) => {
    switch (probe.type) {
      case 'udmabuf':
        return [checkUdmabuf(probe, enough, config), checkLimit(probe)];
      case 'dma-heap':
        return [checkHeaps(probe)];
      case 'cuda':
        return [checkCuda(probe, facts.nvidia)];
      case 'host':
        return [checkHugePages(probe)];
    }
  });
  return parts
    .flat()
    .filter((part) => part !== undefined)
    .map((part) => ({ area: 'memory', ...part }));
}

function unknown(): Finding {
  return {
    id: 'memory.list',
    area: 'memory',
    status: 'missing',
    title: 'Unknown which memory there is to receive into',
    why: 'It is found out by allocating some, which takes the native addon.',
    fix: 'Build the addon, as said above.',
  };
}

function checkUdmabuf(
  probe: UdmabufProbe,
  enough: boolean,
  config: KernelConfig | undefined,
): Part {
  const id = 'memory.udmabuf';
  const why = 'It makes a dma-buf of ordinary memory.';
  if (probe.available) {
    return { id, status: 'ok', title: 'udmabuf: host memory that a NIC can receive into', why };
  }
  // Other memory serves too.
  const status = enough ? 'warning' : 'missing';
  const absent = isSystemError(probe.error) && probe.error.code === 'ENOENT';
  const title = absent ? 'No /dev/udmabuf' : 'No memory by udmabuf';
  if (absent && config !== undefined && config.option('UDMABUF') === undefined) {
    const fix = `This kernel was built without (CONFIG_UDMABUF, ${config.source}): boot one that has it.`;
    return { id, status, title, why, fix };
  }
  return {
    id,
    status,
    title,
    why,
    fix: `${probe.reason ?? 'The kernel refused'}.`,
    ...(absent && { commands: ['modprobe udmabuf'] }),
  };
}

function checkLimit({ available, sizeLimitBytes, listLimit }: UdmabufProbe): Part | undefined {
  if (!available) return undefined;
  const id = 'memory.udmabuf-limit';
  if (sizeLimitBytes === undefined) {
    return { id, status: 'ok', title: 'A udmabuf has no limit, or the kernel does not tell one' };
  }
  const limit = sizeLimitBytes / MiB;
  const list = listLimit === undefined ? '' : `, made of up to ${listLimit} pieces`;
  const title = `A udmabuf may have ${limit} MiB${list}`;
  if (limit >= SMALL_LIMIT_MIB) return { id, status: 'ok', title };
  return {
    id,
    status: 'warning',
    title,
    why: 'Rings, data in flight and what the program holds share it; larger requests fail with EINVAL (drivers/dma-buf/udmabuf.c, size_limit_mb).',
    fix: 'Raise it (or udmabuf.size_limit_mb=1024 on the command line of the kernel), or use a dma-heap, which has none:',
    commands: ['echo 1024 > /sys/module/udmabuf/parameters/size_limit_mb'],
  };
}

function checkHeaps({ available, heaps, reason }: DmaHeapProbe): Part | undefined {
  // Without heaps there is nothing to mend: udmabuf serves.
  if (heaps.length === 0) return undefined;
  const id = 'memory.dma-heap';
  const usable = heaps.filter((heap) => heap.available).map(({ name }) => name);
  if (available) return { id, status: 'ok', title: `dma-heap: ${usable.join(', ')}` };
  return {
    id,
    status: 'warning',
    title: 'No memory by a dma-heap',
    why: 'Heaps are another source of dma-bufs, without a limit of their size.',
    fix: `${reason ?? 'The kernel refused'}.`,
  };
}

function checkCuda({ available, devices, reason }: CudaProbe, nvidia: boolean): Part | undefined {
  const id = 'memory.cuda';
  if (available) {
    const names = devices
      .filter((device) => device.dmaBufSupported)
      .map(({ name, pciAddress }) => `${name} (${pciAddress})`);
    return { id, status: 'ok', title: `CUDA: ${names.join(', ')}` };
  }
  if (!nvidia && devices.length === 0) return undefined;
  return {
    id,
    status: 'warning',
    title: 'No GPU memory by CUDA',
    why: "NVIDIA's driver is here, but its memory cannot be received into.",
    fix: `${reason ?? 'CUDA refused'}.`,
  };
}

function checkHugePages({ hugePages }: HostProbe): Part | undefined {
  if (hugePages.length === 0) return undefined;
  const list = hugePages.map(({ size, free, total }) => `${free} of ${total} (${size})`);
  return {
    id: 'memory.huge-pages',
    status: 'ok',
    title: `Free huge pages: ${list.join(', ')}`,
    why: "Needed for udmabufs of huge pages alone; 'sysctl vm.nr_hugepages=N' reserves some.",
  };
}
