import { DevmemError } from '../../errors.js';
import type { Transport } from './transport.js';

/** The kernel's devmem path: recvmsg(MSG_SOCK_DEVMEM), records in control messages. */
export const cmsg: Transport = {
  name: 'cmsg',
  copies: false,
  severalBindings: true,
  outlivesBinding: true,
  readsBy: 'recvmsg',
  queuesInMemory: true,
  divides: false,
  makeId() {
    throw new DevmemError('ERR_DEVMEM_UNSUPPORTED', 'Only the kernel numbers its bindings');
  },
  mapping: () => undefined,
};
