/**
 * The generic netlink family "ethtool": asking and setting, and here at once receive
 * rings and header split; other messages are in files of their own. Source:
 * include/uapi/linux/ethtool_netlink.h, Documentation/networking/ethtool-netlink.rst.
 */
import { systemError } from '../../errors.js';
import { printable } from '../quoting.js';
import { GenericNetlink } from './generic.js';
import type { Attribute, Attributes } from './message.js';

const ETHTOOL_MSG_RINGS_GET = 15;
const ETHTOOL_MSG_RINGS_SET = 16;
// The same number in every message.
const ETHTOOL_A_HEADER = 1;
const ETHTOOL_A_HEADER_DEV_NAME = 2;
const ETHTOOL_A_RINGS_RX = 6;
const ETHTOOL_A_RINGS_TCP_DATA_SPLIT = 11;
const ETHTOOL_A_RINGS_HDS_THRESH = 17;
const ETHTOOL_A_RINGS_HDS_THRESH_MAX = 18;

const SPLIT = ['unknown', 'disabled', 'enabled'] as const;

export interface Rings {
  /** Entries of each receive ring. */
  rx: number | undefined;
  /** Whether the NIC puts TCP payload apart from headers. */
  tcpDataSplit: (typeof SPLIT)[number];
  /** Packets up to this many bytes are not split; undefined where the kernel has no such setting. */
  hdsThreshold: number | undefined;
  /** The most that it can be set to. */
  hdsThresholdMax: number | undefined;
}

/** What setRings() can change. */
export interface RingSettings {
  /** Entries of each receive ring. */
  rx?: number;
  tcpDataSplit?: 'disabled' | 'enabled';
  /** Bytes. */
  hdsThreshold?: number;
}

export const header = (interfaceName: string): Attribute => [
  ETHTOOL_A_HEADER,
  [[ETHTOOL_A_HEADER_DEV_NAME, interfaceName]],
];

/** What the family tells of an interface; undefined where it, or the driver, does not. */
export async function ethtoolGet(
  interfaceName: string,
  command: number,
): Promise<Attributes | undefined> {
  using netlink = await GenericNetlink.open('ethtool');
  return (await netlink.request(command, [header(interfaceName)])).messages[0];
}

/**
 * Changes something of an interface.
 *
 * @param what - the command's name, for the error
 * @returns what the kernel answered, where it is more than an acknowledgement
 * @throws SystemError
 */
export async function ethtoolSet(
  interfaceName: string,
  command: number,
  what: string,
  attributes: readonly Attribute[],
): Promise<Attributes | undefined> {
  using netlink = await GenericNetlink.open('ethtool');
  const answer = await netlink.request(command, [header(interfaceName), ...attributes]);
  const { errno, kernelMessage, messages } = answer;
  if (errno < 0) {
    throw systemError(errno, `ethtool ${what}`, {
      subject: printable(interfaceName),
      kernelMessage,
    });
  }
  return messages[0];
}

/** The interface's rings; undefined where its driver does not tell. */
export async function getRings(interfaceName: string): Promise<Rings | undefined> {
  const rings = await ethtoolGet(interfaceName, ETHTOOL_MSG_RINGS_GET);
  if (rings === undefined) return undefined;
  return {
    rx: rings.number(ETHTOOL_A_RINGS_RX),
    tcpDataSplit: SPLIT[rings.number(ETHTOOL_A_RINGS_TCP_DATA_SPLIT) ?? 0] ?? 'unknown',
    hdsThreshold: rings.number(ETHTOOL_A_RINGS_HDS_THRESH),
    hdsThresholdMax: rings.number(ETHTOOL_A_RINGS_HDS_THRESH_MAX),
  };
}

/**
 * Changes the interface's rings.
 *
 * @throws SystemError EPERM without CAP_NET_ADMIN, EOPNOTSUPP or EINVAL where the
 *   driver cannot, EBUSY or EINVAL where a binding depends on header split
 */
export async function setRings(interfaceName: string, settings: RingSettings): Promise<void> {
  const attributes: Attribute[] = [];
  if (settings.rx !== undefined) attributes.push([ETHTOOL_A_RINGS_RX, settings.rx]);
  if (settings.tcpDataSplit !== undefined) {
    const value = Uint8Array.of(SPLIT.indexOf(settings.tcpDataSplit));
    attributes.push([ETHTOOL_A_RINGS_TCP_DATA_SPLIT, value]);
  }
  if (settings.hdsThreshold !== undefined) {
    attributes.push([ETHTOOL_A_RINGS_HDS_THRESH, settings.hdsThreshold]);
  }
  await ethtoolSet(interfaceName, ETHTOOL_MSG_RINGS_SET, 'rings-set', attributes);
}
