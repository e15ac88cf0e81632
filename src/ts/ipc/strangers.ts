/**
 * Descriptors that other processes sent. close(2) may wait: for the peer of a TCP
 * connection (SO_LINGER), for the server of a file (FUSE, NFS), as long as those like.
 */
import { native, type OwnedFd } from '../native.js';
import { ready } from './ready.js';

/**
 * Closes them in this order on a thread of their own, where waiting holds up nobody.
 *
 * @returns resolves once they are closed, which does not keep the process alive; never rejects
 */
export async function closeStrangers(fds: readonly OwnedFd[]): Promise<void> {
  if (fds.length === 0) return;
  const done = native().closeElsewhere(fds);
  // Out of descriptors (EMFILE) there is none to tell by.
  if (typeof done === 'number') return;
  await ready(done.fd, 'readable', { ref: false }).catch(() => {});
  done.close();
}
