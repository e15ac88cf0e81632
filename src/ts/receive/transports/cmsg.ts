import { constants } from 'node:os';

import type { Transport } from './transport.js';

/** The kernel's devmem path: recvmsg(MSG_SOCK_DEVMEM), records in control messages. */
export const cmsg: Transport = {
  name: 'cmsg',
  copies: false,
  severalBindings: true,
  outlivesBinding: true,
  readsBy: 'recvmsg',
  readHints: new Map([
    [
      -constants.errno.EBADMSG,
      "It happens when the connection's packets reach a queue of a binding that the socket does not know: steer them to its own, or give it the other one too, as one of `binding: [first, other]` or with addBinding()",
    ],
  ]),
  queuesInMemory: true,
  unqueued: undefined,
  divides: false,
  makeId() {
    throw new Error('Only the kernel numbers its bindings');
  },
  mapping: () => undefined,
};
