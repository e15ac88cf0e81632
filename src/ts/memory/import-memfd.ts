/**
 * What is asked of a memfd that another process made, and still has: that nothing which
 * that process does to the file can end this one.
 */
import { constants, fstatSync } from 'node:fs';

import { invalidArgValue } from '../errors.js';
import { native, type OwnedFd } from '../native.js';

// linux/fcntl.h
const F_SEAL_SHRINK = 0x2;
const F_SEAL_WRITE = 0x8;
const F_SEAL_FUTURE_WRITE = 0x10;
const O_ACCMODE = 3;

const PAGE = 4096;

/**
 * The bytes of a memfd that can be used as memory; undefined for a file that is none.
 *
 * @throws TypeError ERR_INVALID_ARG_VALUE for one that cannot
 */
export function memfdSize(file: OwnedFd, { fd }: { fd: number }): number | undefined {
  // Also the question whether it is one: other files have no seals.
  const seals = native().memfdSeals(file);
  if (seals < 0) return undefined;
  if ((seals & F_SEAL_SHRINK) === 0) {
    throw invalidArgValue(
      'options.fd',
      'a memfd that is sealed against shrinking: whoever cut it short would end this process at its next access (SIGBUS). Make it by memfd_create(MFD_ALLOW_SEALING), and seal it by fcntl(F_ADD_SEALS, F_SEAL_SHRINK) before passing it on',
      fd,
    );
  }
  const writable = (native().fileFlags(file) & O_ACCMODE) === constants.O_RDWR;
  if (!writable || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0) {
    throw invalidArgValue(
      'options.fd',
      'a memfd that can be written to: open for reading and writing, and without F_SEAL_WRITE and F_SEAL_FUTURE_WRITE',
      fd,
    );
  }
  const { size } = fstatSync(file.fd);
  if (size === 0 || size % PAGE !== 0 || !Number.isSafeInteger(size)) {
    throw invalidArgValue(
      'options.fd',
      `a memfd of a multiple of ${PAGE} bytes, not of ${size}`,
      fd,
    );
  }
  return size;
}
