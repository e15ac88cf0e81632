/** What /proc tells of the kernel and of this process's namespaces. */
import { readFileSync, statSync } from 'node:fs';

import { DevmemError } from '../../errors.js';

/** What the kernel's present run is called. */
export function bootId(): string {
  return fromProc(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

/** Inode of a namespace of this process, which identifies it while it exists. */
export function namespaceId(kind: 'net' | 'pid'): number {
  return fromProc(() => statSync(`/proc/self/ns/${kind}`).ino);
}

/** @throws DevmemError ERR_DEVMEM_JOURNAL where it cannot be read */
function fromProc<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new DevmemError(
      'ERR_DEVMEM_JOURNAL',
      `Without /proc nobody could tell later whose the settings of an interface are: ${(cause as Error).message}. Mount it: 'mount -t proc proc /proc'`,
      { cause },
    );
  }
}
