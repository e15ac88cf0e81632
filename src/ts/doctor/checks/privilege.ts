/** Whether this process may bind. */
import { printable, shellWord } from '../../nic/quoting.js';
import type { PrivilegeFacts } from '../facts/privilege.js';
import type { Finding, Part } from '../report.js';
import { atLeast, type Version } from '../../kernel-version.js';

export function checkPrivilege(facts: PrivilegeFacts, kernel: Version | undefined): Finding[] {
  const parts = [
    facts.broker === undefined ? undefined : checkBroker(facts.broker),
    facts.broker === undefined ? checkNetAdmin(facts, kernel) : undefined,
    checkMemlock(facts),
  ];
  return parts.filter((part) => part !== undefined).map((part) => ({ area: 'privilege', ...part }));
}

const WHY = 'The kernel asks for it to bind memory to queues and to set up the NIC.';

function checkNetAdmin(facts: PrivilegeFacts, kernel: Version | undefined): Part {
  const id = 'privilege.net-admin';
  if (facts.netAdmin === undefined) {
    return {
      id,
      status: 'missing',
      title: 'Unknown whether this process has CAP_NET_ADMIN',
      why: `${WHY} /proc/self/status tells, and cannot be read.`,
      fix: 'Mount procfs, or run the doctor outside the sandbox:',
      commands: ['mount -t proc proc /proc'],
    };
  }
  if (!facts.netAdmin) {
    return {
      id,
      status: 'missing',
      title: 'No CAP_NET_ADMIN',
      why: WHY,
      fix: "Run as root, or let 'devmem-tcp broker' bind for this process (then 'doctor --broker PATH'), or give node the capability:",
      commands: ['setcap cap_net_admin+ep "$(readlink -f "$(command -v node)")"'],
    };
  }
  // netdev_nl_bind_rx: GENL_ADMIN_PERM before, GENL_UNS_ADMIN_PERM since.
  const inner = facts.initialUserNamespace === false;
  if (inner && (kernel === undefined || !atLeast(kernel, 7, 2))) {
    return {
      id,
      status: 'missing',
      title: 'CAP_NET_ADMIN in an inner user namespace only',
      why: 'Before Linux 7.2, binding asks for it in the initial user namespace.',
      fix: 'Run outside the user namespace (a rootless container is one), or use a broker there.',
    };
  }
  return { id, status: 'ok', title: 'CAP_NET_ADMIN', why: WHY };
}

function checkBroker(broker: NonNullable<PrivilegeFacts['broker']>): Part {
  const { path, access, socket, listens } = broker;
  const id = 'privilege.broker';
  const why = 'It binds for processes without CAP_NET_ADMIN.';
  if (listens) return { id, status: 'ok', title: `A broker listens at ${printable(path)}`, why };
  if (access === 'denied') {
    return {
      id,
      status: 'missing',
      title: `No access to the broker's socket ${printable(path)}`,
      why,
      fix: 'Give this user write access to the socket, by its group or mode.',
    };
  }
  return {
    id,
    status: 'missing',
    title:
      access === 'usable' && !socket
        ? `${printable(path)} is no socket`
        : `No broker listens at ${printable(path)}`,
    why,
    fix: 'Start one:',
    commands: [`devmem-tcp broker --socket ${shellWord(path)} --allow IF:QUEUES`],
  };
}

function checkMemlock({ memlock }: PrivilegeFacts): Part | undefined {
  if (memlock === undefined) return undefined;
  const limit = memlock === Infinity ? 'no limit' : `${Math.floor(memlock / 1024)} KiB`;
  return {
    id: 'privilege.memlock',
    status: 'ok',
    title: `Locked memory (RLIMIT_MEMLOCK): ${limit}`,
    why: 'Not asked for by udmabuf and dma-heap, whose pages are not counted against it.',
  };
}
