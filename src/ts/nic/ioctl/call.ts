/** ioctl(SIOCETHTOOL), its refusals as errors. */
import { constants } from 'node:os';

import { isSystemError, systemError } from '../../errors.js';
import { native } from '../../native.js';
import { printable } from '../quoting.js';

/**
 * Runs a command; the answer is written into it.
 *
 * @param what - the command's name, for the error
 * @throws SystemError
 */
export function ethtoolCommand(interfaceName: string, what: string, command: Uint8Array): void {
  const status = native().ethtoolIoctl(interfaceName, command);
  if (status < 0)
    throw systemError(status, `ethtool ${what}`, { subject: printable(interfaceName) });
}

/**
 * Whether a system call failed with one of these, e.g. `EOPNOTSUPP`. By number: Node
 * calls that one ENOTSUP, which has the same.
 */
export function failedWith(
  error: unknown,
  ...names: readonly (keyof typeof constants.errno)[]
): boolean {
  return isSystemError(error) && names.some((name) => error.errno === -constants.errno[name]);
}
