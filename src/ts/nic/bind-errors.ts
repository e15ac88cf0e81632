/** What a refused BIND_RX means, and what to do about it. */
import { constants } from 'node:os';

import { systemError } from '../errors.js';
import { getRings, type Rings } from './netlink/ethtool.js';
import type { NetdevNetlink, RxQueue } from './netlink/netdev.js';
import { printable, shellWord } from './quoting.js';

export interface Refusal {
  /** The interface. */
  name: string;
  index: number;
  queues: readonly number[];
  /** Asked for, in bytes. */
  rxPageSize: number | undefined;
  /** What was refused; default: `'netdev bind-rx'`. */
  syscall?: string;
  /** Negative. */
  errno: number;
  kernelMessage: string | undefined;
}

interface Surroundings {
  refusal: Refusal;
  /** The interface's name in a sentence, and as a word of a command. */
  name: string;
  word: string;
  rxQueues: RxQueue[];
  rings: Rings | undefined;
}

interface Explanation {
  /** Where the kernel's own says too little, or another one on another kernel. */
  errno?: number;
  subject: string;
  hint: string;
}

const { EPERM, EEXIST, EBUSY, EINVAL, EIO, EOPNOTSUPP, ENOMEM, ERANGE } = constants.errno;

/** The error for a refused binding: the kernel says no in one word, this looks why. */
export async function explainBindError(netdev: NetdevNetlink, refusal: Refusal): Promise<Error> {
  const surroundings = {
    refusal,
    name: printable(refusal.name),
    word: shellWord(refusal.name),
    rxQueues: await netdev.rxQueues(refusal.index).catch(() => []),
    rings: await getRings(refusal.name).catch(() => undefined),
  };
  const explanation =
    explainPermission(surroundings) ??
    explainMissingQueue(surroundings) ??
    explainBoundQueue(surroundings) ??
    explainHeaderSplit(surroundings) ??
    explainPageSize(surroundings) ??
    explainErrno(surroundings);
  return systemError(explanation?.errno ?? refusal.errno, refusal.syscall ?? 'netdev bind-rx', {
    subject: explanation?.subject ?? `${surroundings.name}, queues ${refusal.queues.join(', ')}`,
    hint: explanation?.hint,
    kernelMessage: refusal.kernelMessage,
  });
}

function explainPermission({ refusal, name }: Surroundings): Explanation | undefined {
  if (refusal.errno !== -EPERM) return undefined;
  return {
    subject: `binding queues of ${name} needs CAP_NET_ADMIN`,
    hint: "Run as root, or give node the capability: 'setcap cap_net_admin+ep $(command -v node)'",
  };
}

function explainMissingQueue(surroundings: Surroundings): Explanation | undefined {
  const { refusal, name, word, rxQueues } = surroundings;
  const missing = refusal.queues.filter((id) => !rxQueues.some((queue) => queue.id === id));
  if (rxQueues.length === 0 || missing.length === 0) return undefined;
  const last = Math.max(...rxQueues.map((queue) => queue.id));
  return {
    errno: -ERANGE,
    subject: `${name} has no rx queue ${missing.join(', ')}`,
    hint: `Its queues are 0 to ${last}; prepareInterface() makes more, as does 'ethtool -L ${word} combined N'`,
  };
}

function explainBoundQueue({ refusal, name, rxQueues }: Surroundings): Explanation | undefined {
  const taken = rxQueues.filter((queue) => refusal.queues.includes(queue.id));
  const rings = taken.filter((queue) => queue.otherUser === 'io_uring');
  if (rings.length > 0) {
    return {
      subject: `rx queue ${rings.map(({ id }) => id).join(', ')} of ${name} is io_uring's (zero-copy receive)`,
      hint: 'Choose other queues, or end the process that has the ring',
    };
  }
  const bound = taken.filter((queue) => queue.dmabufId !== undefined);
  if (bound.length === 0) return undefined;
  const list = bound.map((queue) => `${queue.id} (binding ${queue.dmabufId})`).join(', ');
  return {
    subject: `rx queue ${list} of ${name} is bound already`,
    hint: 'Choose other queues, or end the process that holds the binding',
  };
}

function explainHeaderSplit(surroundings: Surroundings): Explanation | undefined {
  const { name, word, rings } = surroundings;
  if (rings?.tcpDataSplit === 'disabled') {
    return {
      subject: `header split is off on ${name}`,
      hint: `Turn it on: 'ethtool -G ${word} tcp-data-split on'. ${setUp(surroundings)}`,
    };
  }
  if ((rings?.hdsThreshold ?? 0) > 0) {
    return {
      subject: `${name} splits only packets above ${rings?.hdsThreshold} bytes`,
      hint: `Split all: 'ethtool -G ${word} hds-thresh 0'. ${setUp(surroundings)}`,
    };
  }
  return undefined;
}

function setUp({ refusal, word }: Surroundings): string {
  const queues = refusal.queues.join(',');
  const command = `devmem-tcp nic apply --interface ${word} --queues ${queues}`;
  return `prepareInterface() does that and all else that is needed, as does '${command}'`;
}

function explainPageSize({ refusal, name }: Surroundings): Explanation | undefined {
  const { rxPageSize, errno } = refusal;
  if (rxPageSize === undefined) return undefined;
  const subject = `rx pages of ${rxPageSize} bytes on ${name}`;
  switch (-errno) {
    case EOPNOTSUPP:
      return { subject, hint: 'Its driver does not support them: leave options.rxPageSize out' };
    case EINVAL:
    case ERANGE:
      return {
        subject,
        hint: 'Each piece of the memory must be aligned to them: allocate it in huge pages, or ask for smaller ones',
      };
    default:
      return undefined;
  }
}

function explainErrno({ refusal, name, word }: Surroundings): Explanation | undefined {
  switch (-refusal.errno) {
    case EEXIST:
      return {
        subject: `${name} has an XDP program or a memory provider on these queues`,
        hint: `'ip link set dev ${word} xdp off' takes an XDP program off`,
      };
    case EBUSY:
      return {
        subject: `an AF_XDP socket uses these queues of ${name}`,
        hint: 'End the process that holds it, or choose other queues',
      };
    case EOPNOTSUPP:
      return {
        subject: `the driver of ${name} cannot receive into device memory`,
        hint: 'Drivers that can: gve, mlx5, bnxt, fbnic (recent kernels), devmemsim (kernel/devmemsim)',
      };
    case ENOMEM:
      return {
        subject: `no memory to restart the queues of ${name}`,
        hint: `Drivers may fill a ring before it receives: allocate more than the rings hold, or shrink them with 'ethtool -G ${word} rx N'; else free memory`,
      };
    case EIO:
      return {
        subject: `the driver of ${name} could not stop or start a queue`,
        hint: "The kernel starts it again as it was. Its log may say why it could not: 'dmesg'",
      };
    default:
      return undefined;
  }
}
