/** The token queue of this thread: memory by which its sockets give fragments back. */
import { constants } from 'node:os';

import { isSystemError, systemError } from '../../errors.js';
import { native, type TokenQueue } from '../../native.js';

const { ENOPROTOOPT, EOPNOTSUPP, EPERM, ENOSYS } = constants.errno;

const SERIES =
  'kernel/patches/linux-6.12-token-queue (for Linux 6.12) or linux-7-token-queue (7.3)';

// Made for the first binding that wants one, and there until the thread ends: its sockets
// outlive bindings.
let queue: TokenQueue | undefined;

/**
 * The queue, which all bindings of this thread share.
 *
 * @throws SystemError ENOPROTOOPT (not in this kernel), ENOTSUP (another version of it),
 *   EPERM, ENOSYS (filtered), EMFILE, ENFILE, ENOMEM
 */
export function threadQueue(): TokenQueue {
  queue ??= openQueue();
  return queue;
}

/** The same; undefined where it is not to be had. */
export function threadQueueIfAny(): TokenQueue | undefined {
  try {
    return threadQueue();
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

/**
 * Whether there could be one, for who does not need it.
 *
 * @throws SystemError as threadQueue() does
 */
export function checkTokenQueue(): void {
  if (queue === undefined) openQueue().close();
}

function openQueue(): TokenQueue {
  const made = new (native().TokenQueue)();
  const status = made.open();
  if (status === 0) return made;
  throw systemError(status, 'getsockopt(SO_DEVMEM_QUEUE)', explain(status));
}

function explain(status: number): { subject: string; hint: string } | undefined {
  switch (-status) {
    case ENOPROTOOPT:
      return {
        subject: 'this kernel has no token queue',
        hint: `Apply ${SERIES}, or use transport 'cmsg', which needs less`,
      };
    case EOPNOTSUPP:
      return {
        subject: 'the token queue of this kernel is of another version',
        hint: `Apply ${SERIES} of this version of the package, or use transport 'cmsg'`,
      };
    case EPERM:
    case ENOSYS:
      return {
        subject: 'a seccomp filter (of a container, say) or a security module refuses it',
        hint: "Let it allow the ioctl DEVMEM_QUEUE_FLUSH, or use transport 'cmsg'",
      };
    default:
      return undefined;
  }
}
