import { constants } from 'node:os';

import { ownId } from './own-id.js';
import type { Transport } from './transport.js';

const { EBADMSG, EEXIST, ENOSYS, EPERM } = constants.errno;
const EBADR = 53; // Node.js has no name for it
const FILTERED =
  "A seccomp filter that was set after the binding was made refuses io_uring_enter: let it, or use transport 'cmsg'";

/** io_uring's zero-copy receive: one ring for all sockets of a binding, multishot RECV_ZC. */
export const zcrx: Transport = {
  name: 'zcrx',
  copies: false,
  // A request names the queue whose memory it receives into.
  severalBindings: false,
  // The queue is given up with the ring, and with that what only the ring could give.
  outlivesBinding: false,
  readsBy: 'io_uring recv_zc',
  readHints: new Map([
    [
      -EBADMSG,
      "It happens when the connection's packets reach the queue of another binding: steer all of them to its own",
    ],
    // Of io_uring_enter(2) itself: all connections of the binding end with it.
    [-EPERM, FILTERED],
    [-ENOSYS, FILTERED],
    [
      -EEXIST,
      'The ring serves the thread that made it alone: bind in each process and thread, and never in one that is forked without exec',
    ],
    [-EBADR, 'The kernel had no memory for completions, and what they told of is lost: bind again'],
  ]),
  queuesInMemory: true,
  unqueued: undefined,
  divides: false,
  makeId: ownId,
  mapping: () => undefined,
};
