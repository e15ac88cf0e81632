/** Features (`ethtool -k`, `-K`), by the generic netlink family "ethtool". */
import { ethtoolGet, ethtoolSet } from './ethtool.js';
import type { Attributes } from './message.js';

const ETHTOOL_MSG_FEATURES_GET = 11;
const ETHTOOL_MSG_FEATURES_SET = 12;
const ETHTOOL_A_FEATURES_HW = 2;
const ETHTOOL_A_FEATURES_WANTED = 3;
const ETHTOOL_A_FEATURES_ACTIVE = 4;
const ETHTOOL_A_FEATURES_NOCHANGE = 5;
const ETHTOOL_A_BITSET_NOMASK = 1;
const ETHTOOL_A_BITSET_BITS = 3;
const ETHTOOL_A_BITSET_BITS_BIT = 1;
const ETHTOOL_A_BITSET_BIT_NAME = 2;
const ETHTOOL_A_BITSET_BIT_VALUE = 3;

/** Steering by rules (NETIF_F_NTUPLE); `ethtool -K` calls it `ntuple`. */
export const NTUPLE = 'rx-ntuple-filter';
/** Merging of packets by the NIC (NETIF_F_GRO_HW). */
export const HARDWARE_GRO = 'rx-gro-hw';

export interface Feature {
  active: boolean;
  /** Whether it can be switched. */
  changeable: boolean;
}

/** The state of a feature, by the kernel's name for it; undefined where it does not tell. */
export async function getFeature(
  interfaceName: string,
  feature: string,
): Promise<Feature | undefined> {
  const features = await ethtoolGet(interfaceName, ETHTOOL_MSG_FEATURES_GET);
  if (features === undefined) return undefined;
  const set = (type: number): ReadonlySet<string> => bitsOf(features.nested(type));
  return {
    active: set(ETHTOOL_A_FEATURES_ACTIVE).has(feature),
    changeable:
      set(ETHTOOL_A_FEATURES_HW).has(feature) && !set(ETHTOOL_A_FEATURES_NOCHANGE).has(feature),
  };
}

/** Names of the bits that are set in a bitset, which lists others too where it has a mask. */
function bitsOf(bitset: Attributes | undefined): ReadonlySet<string> {
  const bits = bitset?.nested(ETHTOOL_A_BITSET_BITS)?.elements() ?? [];
  const masked = bitset !== undefined && !bitset.has(ETHTOOL_A_BITSET_NOMASK);
  return new Set(
    bits
      .filter((bit) => !masked || bit.has(ETHTOOL_A_BITSET_BIT_VALUE))
      .map((bit) => bit.string(ETHTOOL_A_BITSET_BIT_NAME) ?? ''),
  );
}

const FLAG = new Uint8Array(0);

/**
 * Asks for a feature to be switched. The kernel may decline without an error: read it back.
 *
 * @throws SystemError EPERM without CAP_NET_ADMIN, EINVAL for an unknown feature
 */
export async function setFeature(
  interfaceName: string,
  feature: string,
  on: boolean,
): Promise<void> {
  const name = [ETHTOOL_A_BITSET_BIT_NAME, feature] as const;
  const bit = on ? [name, [ETHTOOL_A_BITSET_BIT_VALUE, FLAG] as const] : [name];
  await ethtoolSet(interfaceName, ETHTOOL_MSG_FEATURES_SET, 'features-set', [
    [ETHTOOL_A_FEATURES_WANTED, [[ETHTOOL_A_BITSET_BITS, [[ETHTOOL_A_BITSET_BITS_BIT, bit]]]]],
  ]);
}
