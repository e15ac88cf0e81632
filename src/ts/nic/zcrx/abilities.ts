/** Whether this kernel, and whoever confines this process, lets io_uring receive. */
import { readFileSync } from 'node:fs';
import { constants, release } from 'node:os';

import { type SystemError, systemError } from '../../errors.js';
import { native, type ZcrxAbilities } from '../../native.js';

const { EPERM, ENOSYS, ENOMEM, EINVAL, EOPNOTSUPP } = constants.errno;
const DISABLED = '/proc/sys/kernel/io_uring_disabled';
const FOUR_GIB = 2 ** 32;

/**
 * What zero-copy receive can do here.
 *
 * @throws SystemError EPERM, ENOSYS (disabled or filtered), EOPNOTSUPP (not in this kernel)
 */
export function zcrxAbilities(): ZcrxAbilities {
  const answer = native().queryZcrx();
  if (typeof answer === 'number') throw ringError(answer, 'io_uring_register(QUERY)');
  if (answer.dmabufAreas && answer.flushes) return answer;
  throw systemError(-EOPNOTSUPP, 'io_uring_register(QUERY)', {
    subject: "this kernel's io_uring cannot receive into dma-bufs",
    hint: "It needs Linux 6.19 or newer; transport 'cmsg' needs less",
  });
}

/**
 * The error of a refused ring, in words: the kernel has none.
 *
 * @param errno - negative
 */
export function ringError(errno: number, syscall: string): SystemError {
  return systemError(errno === -EINVAL ? -EOPNOTSUPP : errno, syscall, explain(errno));
}

function explain(errno: number): { subject: string; hint: string } | undefined {
  switch (-errno) {
    case EPERM:
      return explainForbidden();
    case ENOSYS:
      return {
        subject: 'this kernel has no io_uring, or a seccomp filter hides it',
        hint: `Let the container's seccomp profile allow io_uring_setup, io_uring_enter and io_uring_register, or use transport 'cmsg'`,
      };
    case ENOMEM:
      return {
        subject: 'the ring would pass the limit of locked memory',
        hint: "Raise it ('ulimit -l', LimitMEMLOCK=), or give node CAP_IPC_LOCK",
      };
    case EINVAL:
    case EOPNOTSUPP:
      return {
        subject: `io_uring of Linux ${release()} has no zero-copy receive`,
        hint: "It needs Linux 6.19 or newer with CONFIG_IO_URING_ZCRX; transport 'cmsg' needs less",
      };
    default:
      return undefined;
  }
}

function explainForbidden(): { subject: string; hint: string } {
  switch (ioUringDisabled()) {
    case 1:
      return {
        subject: 'io_uring is for members of kernel.io_uring_group (kernel.io_uring_disabled is 1)',
        hint: "Join that group, or 'sysctl kernel.io_uring_disabled=0'",
      };
    case 2:
      return {
        subject: 'io_uring is disabled (kernel.io_uring_disabled is 2)',
        hint: "'sysctl kernel.io_uring_disabled=0' allows it; transport 'cmsg' does without",
      };
    default:
      return {
        subject: 'a seccomp filter (of a container, say) or a security module refuses io_uring',
        hint: "Let the container's seccomp profile allow io_uring_setup, io_uring_enter and io_uring_register, or use transport 'cmsg'",
      };
  }
}

/** The sysctl kernel.io_uring_disabled; undefined where there is none (before Linux 6.6). */
export function ioUringDisabled(): number | undefined {
  try {
    return Number(readFileSync(DISABLED, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Why this kernel's zero-copy receive must not have so much memory: before Linux 7.3.3 its
 * offsets have 32 bits, and what lies beyond would come from elsewhere without a word.
 */
export function tooLargeFor(kernel: string, bytes: number): string | undefined {
  if (bytes <= FOUR_GIB || isFrom733(kernel)) return undefined;
  return `io_uring of Linux ${kernel} counts offsets in 32 bits and would corrupt data beyond 4 GiB. Allocate 4 GiB at most, use Linux 7.3.3 or newer, or transport 'cmsg'`;
}

function isFrom733(kernel: string): boolean {
  const [major = 0, minor = 0, patch = 0] = (/^\d+(\.\d+){0,2}/.exec(kernel)?.[0] ?? '')
    .split('.')
    .map(Number);
  return major !== 7 ? major > 7 : minor !== 3 ? minor > 3 : patch >= 3;
}
