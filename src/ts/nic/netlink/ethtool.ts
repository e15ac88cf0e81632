/**
 * The generic netlink family "ethtool": receive rings and header split. Source:
 * include/uapi/linux/ethtool_netlink.h, Documentation/networking/ethtool-netlink.rst.
 */
import { GenericNetlink } from './generic.js';

const ETHTOOL_MSG_RINGS_GET = 15;
const ETHTOOL_A_RINGS_HEADER = 1;
const ETHTOOL_A_HEADER_DEV_NAME = 2;
const ETHTOOL_A_RINGS_RX = 6;
const ETHTOOL_A_RINGS_TCP_DATA_SPLIT = 11;
const ETHTOOL_A_RINGS_HDS_THRESH = 17;

const SPLIT = ['unknown', 'disabled', 'enabled'] as const;

export interface Rings {
  /** Entries of each receive ring. */
  rx: number | undefined;
  /** Whether the NIC puts TCP payload apart from headers. */
  tcpDataSplit: (typeof SPLIT)[number];
  /** Packets up to this many bytes are not split; undefined where the kernel has no such setting. */
  hdsThreshold: number | undefined;
}

/** The interface's rings; undefined where its driver does not tell. */
export async function getRings(interfaceName: string): Promise<Rings | undefined> {
  const netlink = await GenericNetlink.open('ethtool');
  try {
    const { messages } = await netlink.request(ETHTOOL_MSG_RINGS_GET, [
      [ETHTOOL_A_RINGS_HEADER, [[ETHTOOL_A_HEADER_DEV_NAME, interfaceName]]],
    ]);
    const [rings] = messages;
    if (rings === undefined) return undefined;
    return {
      rx: rings.number(ETHTOOL_A_RINGS_RX),
      tcpDataSplit: SPLIT[rings.number(ETHTOOL_A_RINGS_TCP_DATA_SPLIT) ?? 0] ?? 'unknown',
      hdsThreshold: rings.number(ETHTOOL_A_RINGS_HDS_THRESH),
    };
  } finally {
    netlink.close();
  }
}
