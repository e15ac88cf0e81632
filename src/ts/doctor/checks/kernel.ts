/** Whether the kernel has the path. */
import { constants } from 'node:os';

import type { KernelFacts } from '../facts/kernel.js';
import type { Finding, Part } from '../report.js';
import { atLeast, parseVersion } from '../../kernel-version.js';
import { hazards } from './hazards.js';
import { stableFixes } from './stable.js';
import { tokenQueue } from './token-queue.js';
import { zcrx } from './zcrx.js';

const { EINVAL, ENOPROTOOPT } = constants.errno;

const BOOT_NEWER =
  "Boot Linux 6.12 or newer with CONFIG_NET_DEVMEM=y, or a kernel with the patches that 'devmem-tcp kernel' names";

/** @param name - an interface that could receive, for commands to name */
export function checkKernel(facts: KernelFacts, name = 'IF'): Finding[] {
  const parts =
    facts.platform === 'linux'
      ? [
          ...hazards(facts, name),
          stableFixes(facts),
          addon(facts),
          bindRx(facts),
          dontneed(facts),
          ...tokenQueue(facts),
          ...zcrx(facts),
          config(facts),
        ]
      : [notLinux(facts)];
  return parts.filter((part) => part !== undefined).map((part) => ({ area: 'kernel', ...part }));
}

function notLinux({ platform }: KernelFacts): Part {
  return {
    id: 'kernel.platform',
    status: 'missing',
    title: `This is ${platform}, not Linux`,
    why: 'Device memory TCP is a feature of the Linux kernel.',
    fix: "'devmem-tcp send' works here; receive on Linux.",
  };
}

function addon({ unsupported }: KernelFacts): Part | undefined {
  if (unsupported === undefined) return undefined;
  const { reason, remedy, command } = unsupported;
  return {
    id: 'kernel.addon',
    status: 'missing',
    title: "The package's native addon cannot be loaded",
    why: `${reason}. It makes the system calls: without it nothing can be received, and most of what follows is unknown.`,
    fix: command === undefined ? `${remedy}.` : `${remedy}:`,
    ...(command !== undefined && { commands: [command] }),
  };
}

function bindRx({ canBindRx, release, config }: KernelFacts): Part {
  const id = 'kernel.bind-rx';
  if (canBindRx === true) {
    return { id, status: 'ok', title: `Linux ${release ?? ''} can bind device memory to queues` };
  }
  if (canBindRx === undefined) {
    return {
      id,
      status: 'missing',
      title: 'Unknown whether this kernel can bind device memory',
      why: 'It did not answer over generic netlink: a sandbox may forbid the socket.',
      fix: 'Run the doctor outside the sandbox, or allow AF_NETLINK sockets in it.',
    };
  }
  return {
    id,
    status: 'missing',
    title: `Linux ${release ?? ''} cannot bind device memory`,
    why: whyNot(release, config),
    fix: `${BOOT_NEWER}.`,
  };
}

function whyNot(release: string | undefined, config: KernelFacts['config']): string {
  const version = parseVersion(release);
  if (version !== undefined && !atLeast(version, 6, 12)) {
    return 'Receiving into device memory came with Linux 6.12.';
  }
  if (config !== undefined && config.option('NET_DEVMEM') === undefined) {
    return `CONFIG_NET_DEVMEM is not set (${config.source}).`;
  }
  return "Its generic netlink family 'netdev' has no command bind-rx.";
}

function dontneed({ dontneedError, canBindRx }: KernelFacts): Part | undefined {
  const id = 'kernel.dontneed';
  const why = 'By it fragments go back to the NIC once they were used.';
  switch (dontneedError) {
    case -EINVAL:
      return { id, status: 'ok', title: 'SO_DEVMEM_DONTNEED is there', why };
    case -ENOPROTOOPT:
      // One cause, told once.
      if (canBindRx === false) return undefined;
      return { id, status: 'missing', title: 'No SO_DEVMEM_DONTNEED', why, fix: `${BOOT_NEWER}.` };
    default:
      return {
        id,
        status: 'warning',
        title: 'Unknown whether the kernel has SO_DEVMEM_DONTNEED',
        why: `${why} No TCP socket could be asked.`,
      };
  }
}

const OPTIONS = ['NET_DEVMEM', 'UDMABUF', 'DMABUF_HEAPS_SYSTEM', 'NETFILTER', 'HUGETLBFS'];

/** Nothing hangs on it: the checks above asked the kernel itself. */
function config({ config }: KernelFacts): Part | undefined {
  if (config === undefined) return undefined;
  const values = OPTIONS.map((name) => `${name}=${config.option(name) ?? 'n'}`);
  return {
    id: 'kernel.config',
    status: 'ok',
    title: `Configuration: ${values.join(', ')}`,
    why: `Read from ${config.source}.`,
  };
}
