/** What it means that receiving failed. */
import { release } from 'node:os';

import { DevmemError, systemError } from '../errors.js';
import { parseVersion, stableNumber } from '../kernel-version.js';
import type { Transport } from './transports/transport.js';

const EFAULT = -14;
// Error 74: a record that cannot be true (src/native/receive/records.h).
const EBADMSG = -74;
// Error 125: the ring of the binding is gone (src/native/zcrx/queue.h).
const ECANCELED = -125;

/**
 * The error for a failed receive.
 *
 * @param errno - negative error number
 * @param transport - what received, and what it knows of its errors
 * @param kernel - release of the kernel that failed
 */
export function receiveError(
  errno: number,
  { readsBy, readHints }: Pick<Transport, 'readsBy' | 'readHints'>,
  kernel = release(),
): Error {
  if (errno === ECANCELED) return new DevmemError('ERR_DEVMEM_UNBOUND', UNBOUND);
  const known = readHints.get(errno);
  if (errno === EBADMSG) {
    const words = [`${readsBy} ${BAD_RECORD}`, ...(known === undefined ? [] : [known])];
    return new DevmemError('ERR_DEVMEM_BAD_RECORD', words.join('. '));
  }
  const hidden = errno === EFAULT && hidesErrors(kernel) ? ANY_REFUSAL : undefined;
  return systemError(errno, readsBy, { hint: known ?? hidden });
}

const UNBOUND =
  "The binding was closed, and with it the ring that alone could give this connection's data: with the transport 'zcrx' close the connections first";

const BAD_RECORD =
  "delivered a fragment that is not in this socket's memory, or a record that makes no sense, and the connection was closed";

// net/ipv4/tcp.c, tcp_recvmsg_locked(): what tcp_recvmsg_dmabuf() says is replaced there.
const ANY_REFUSAL =
  'Before Linux 6.12.58 this stands for every error at the first fragment: a control buffer without room for a record (ETOOSMALL), no memory for its token (ENOMEM), readable payload in a packet of device memory (ENODEV). Boot 6.12.58 or newer to be told which';

function hidesErrors(kernel: string): boolean {
  const version = parseVersion(kernel);
  const stable = stableNumber(kernel);
  return version?.major === 6 && version.minor === 12 && stable !== undefined && stable < 58;
}
