/**
 * By which transport the tests that are for any receive: DEVMEM_TRANSPORT, 'cmsg' where it is
 * not set. The programs that they start look at it themselves.
 */
import { type Binding, bindRx as bind, type BindRxOptions } from 'devmem-tcp';

import { hasTokenQueue } from './mended.js';

export const TRANSPORT = (process.env.DEVMEM_TRANSPORT ?? 'cmsg') as 'cmsg' | 'queue' | 'zcrx';

/** What 'auto' means to this kernel. */
export const AUTO = hasTokenQueue ? 'queue' : 'cmsg';

/** Whether a binding takes one queue alone. */
export const oneQueue = TRANSPORT === 'zcrx';

/** Whether closing a binding ends its connections. */
export const bindingIsRing = TRANSPORT === 'zcrx';

/** What reads a socket, in errors. */
export const READS_BY = { cmsg: 'recvmsg', queue: 'recvmsg', zcrx: 'io_uring recv_zc' }[TRANSPORT];

/** As the package's, by the transport that is tested. */
export function bindRx(options: BindRxOptions): Promise<Binding> {
  return bind({ transport: TRANSPORT, ...options });
}
