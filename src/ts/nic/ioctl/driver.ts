/** Which driver an interface has (struct ethtool_drvinfo, include/uapi/linux/ethtool.h). */
import { Struct } from './bytes.js';
import { ethtoolCommand, failedWith } from './call.js';

const ETHTOOL_GDRVINFO = 0x3;
const DRVINFO_SIZE = 196;
const DRIVER = { at: 4, size: 32 };

/** The driver's name; undefined where it does not tell, as loopback does not. */
export function driverName(interfaceName: string): string | undefined {
  const command = new Struct(DRVINFO_SIZE).setU32(0, ETHTOOL_GDRVINFO);
  try {
    ethtoolCommand(interfaceName, 'get-driver', command.bytes);
  } catch (error) {
    if (failedWith(error, 'EOPNOTSUPP')) return undefined;
    throw error;
  }
  return command.text(DRIVER.at, DRIVER.size);
}
