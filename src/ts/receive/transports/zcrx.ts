import { ownId } from './own-id.js';
import type { Transport } from './transport.js';

/** io_uring's zero-copy receive: one ring for all sockets of a binding, multishot RECV_ZC. */
export const zcrx: Transport = {
  name: 'zcrx',
  copies: false,
  // A request names the queue whose memory it receives into.
  severalBindings: false,
  // The queue is given up with the ring, and with that what only the ring could give.
  outlivesBinding: false,
  readsBy: 'io_uring recv_zc',
  queuesInMemory: true,
  divides: false,
  makeId: ownId,
  mapping: () => undefined,
};
