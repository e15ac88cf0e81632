/** Numbers of queues (`ethtool -l`, `-L`), by the generic netlink family "ethtool". */
import { ethtoolGet, ethtoolSet } from './ethtool.js';
import type { Attribute } from './message.js';

const ETHTOOL_MSG_CHANNELS_GET = 17;
const ETHTOOL_MSG_CHANNELS_SET = 18;
const ETHTOOL_A_CHANNELS_RX_MAX = 2;
const ETHTOOL_A_CHANNELS_COMBINED_MAX = 5;
const ETHTOOL_A_CHANNELS_RX_COUNT = 6;
const ETHTOOL_A_CHANNELS_COMBINED_COUNT = 9;

export interface Channels {
  /** Queue pairs. */
  combined: number;
  combinedMax: number;
  /** Queues that only receive. */
  rx: number;
  rxMax: number;
}

/** What setChannels() can change. */
export type ChannelCounts = Partial<Pick<Channels, 'combined' | 'rx'>>;

/** The interface's channels; undefined where its driver does not tell. */
export async function getChannels(interfaceName: string): Promise<Channels | undefined> {
  const channels = await ethtoolGet(interfaceName, ETHTOOL_MSG_CHANNELS_GET);
  if (channels === undefined) return undefined;
  return {
    combined: channels.number(ETHTOOL_A_CHANNELS_COMBINED_COUNT) ?? 0,
    combinedMax: channels.number(ETHTOOL_A_CHANNELS_COMBINED_MAX) ?? 0,
    rx: channels.number(ETHTOOL_A_CHANNELS_RX_COUNT) ?? 0,
    rxMax: channels.number(ETHTOOL_A_CHANNELS_RX_MAX) ?? 0,
  };
}

/**
 * Changes the numbers of queues.
 *
 * @throws SystemError EPERM without CAP_NET_ADMIN, EOPNOTSUPP where the driver cannot,
 *   EINVAL beyond its maximum, or where a binding, an RSS table, a rule or an AF_XDP
 *   socket uses a queue that would go
 */
export async function setChannels(interfaceName: string, counts: ChannelCounts): Promise<void> {
  const attributes: Attribute[] = [];
  if (counts.combined !== undefined) {
    attributes.push([ETHTOOL_A_CHANNELS_COMBINED_COUNT, counts.combined]);
  }
  if (counts.rx !== undefined) attributes.push([ETHTOOL_A_CHANNELS_RX_COUNT, counts.rx]);
  await ethtoolSet(interfaceName, ETHTOOL_MSG_CHANNELS_SET, 'channels-set', attributes);
}
