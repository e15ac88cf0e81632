/**
 * The generic netlink family "ethtool": receive rings and header split. Source:
 * include/uapi/linux/ethtool_netlink.h, Documentation/networking/ethtool-netlink.rst.
 */
import { systemError } from '../../errors.js';
import { GenericNetlink } from './generic.js';
import type { Attribute } from './message.js';

const ETHTOOL_MSG_RINGS_GET = 15;
const ETHTOOL_MSG_RINGS_SET = 16;
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

/** What setRings() can change. */
export interface RingSettings {
  /** Entries of each receive ring. */
  rx?: number;
  tcpDataSplit?: 'disabled' | 'enabled';
}

const header = (name: string): Attribute => [
  ETHTOOL_A_RINGS_HEADER,
  [[ETHTOOL_A_HEADER_DEV_NAME, name]],
];

/** The interface's rings; undefined where its driver does not tell. */
export async function getRings(interfaceName: string): Promise<Rings | undefined> {
  using netlink = await GenericNetlink.open('ethtool');
  const { messages } = await netlink.request(ETHTOOL_MSG_RINGS_GET, [header(interfaceName)]);
  const [rings] = messages;
  if (rings === undefined) return undefined;
  return {
    rx: rings.number(ETHTOOL_A_RINGS_RX),
    tcpDataSplit: SPLIT[rings.number(ETHTOOL_A_RINGS_TCP_DATA_SPLIT) ?? 0] ?? 'unknown',
    hdsThreshold: rings.number(ETHTOOL_A_RINGS_HDS_THRESH),
  };
}

/**
 * Changes the interface's rings.
 *
 * @throws SystemError EPERM without CAP_NET_ADMIN, EOPNOTSUPP or EINVAL where the
 *   driver cannot, EBUSY or EINVAL where a binding depends on header split
 */
export async function setRings(interfaceName: string, settings: RingSettings): Promise<void> {
  using netlink = await GenericNetlink.open('ethtool');
  const attributes: Attribute[] = [header(interfaceName)];
  if (settings.rx !== undefined) attributes.push([ETHTOOL_A_RINGS_RX, settings.rx]);
  if (settings.tcpDataSplit !== undefined) {
    const value = Uint8Array.of(SPLIT.indexOf(settings.tcpDataSplit));
    attributes.push([ETHTOOL_A_RINGS_TCP_DATA_SPLIT, value]);
  }
  const { errno, kernelMessage } = await netlink.request(ETHTOOL_MSG_RINGS_SET, attributes);
  if (errno < 0) {
    throw systemError(errno, 'ethtool rings-set', { subject: interfaceName, kernelMessage });
  }
}
