/** ioctl(SIOCETHTOOL), its refusals as errors. */
import { systemError } from '../../errors.js';
import { native } from '../../native.js';

/**
 * Runs a command; the answer is written into it.
 *
 * @param what - the command's name, for the error
 * @throws SystemError
 */
export function ethtoolCommand(interfaceName: string, what: string, command: Uint8Array): void {
  const status = native().ethtoolIoctl(interfaceName, command);
  if (status < 0) throw systemError(status, `ethtool ${what}`, { subject: interfaceName });
}
