import { ownId } from './own-id.js';
import type { Transport } from './transport.js';

/** The fallback: the kernel copies payload into host memory, as for any socket. */
export const copy: Transport = {
  name: 'copy',
  copies: true,
  severalBindings: false,
  outlivesBinding: true,
  readsBy: 'recvmsg',
  readHints: new Map(),
  queuesInMemory: false,
  unqueued: undefined,
  divides: true,
  makeId: ownId,
  mapping: (memory) => memory.mapping(),
};
