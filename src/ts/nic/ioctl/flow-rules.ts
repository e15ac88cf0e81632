/** The flow rules of an interface (`ethtool -n`, `-N`): listing, adding, deleting. */
import { ethtoolCommand, failedWith } from './call.js';
import {
  atLocation,
  command,
  decodeCount,
  decodeLocations,
  decodeRule,
  encodeInsert,
  ETHTOOL_GRXCLSRLCNT,
  ETHTOOL_GRXCLSRULE,
  ETHTOOL_SRXCLSRLDEL,
  type FoundRule,
  type InstalledRule,
  listCommand,
  locationOf,
  type Rule,
  RX_CLS_LOC_ANY,
} from './rxnfc.js';

export interface RuleTable {
  rules: InstalledRule[];
  /** Places of the table; 0 where the driver does not tell. */
  size: number;
  /** Whether the driver chooses a location itself when asked to. */
  choosesLocation: boolean;
}

/** Puts a command to a driver, which answers in it. */
type Ask = (what: string, command: Uint8Array) => void;

const askOf =
  (interfaceName: string): Ask =>
  (what, bytes) =>
    ethtoolCommand(interfaceName, what, bytes);

// Times that rules may be added while they are listed.
const TRIES = 3;

/** All rules; undefined where the driver has no such thing. */
export function listRules(interfaceName: string): RuleTable | undefined {
  return readRules(askOf(interfaceName));
}

/** The same of whoever answers. */
export function readRules(ask: Ask): RuleTable | undefined {
  for (let tries = 1; ; tries++) {
    try {
      return readOnce(ask);
    } catch (error) {
      // What drivers say to commands that they do not have.
      if (failedWith(error, 'EOPNOTSUPP', 'EINVAL')) return undefined;
      if (!failedWith(error, 'EMSGSIZE') || tries === TRIES) throw error;
    }
  }
}

function readOnce(ask: Ask): RuleTable {
  const counting = command(ETHTOOL_GRXCLSRLCNT);
  ask('count-rules', counting.bytes);
  const { count, size, choosesLocation } = decodeCount(counting);
  const listing = listCommand(count);
  ask('list-rules', listing.bytes);
  const listed = decodeLocations(listing);
  const rules = listed.locations.map((location) => ({ location, rule: readRule(ask, location) }));
  return { rules, size: size > 0 ? size : listed.size, choosesLocation };
}

/** The rule there; undefined where it is none that this package makes, or none at all. */
export function ruleAt(interfaceName: string, location: number): FoundRule | undefined {
  return readRule(askOf(interfaceName), location);
}

function readRule(ask: Ask, location: number): FoundRule | undefined {
  const asking = atLocation(ETHTOOL_GRXCLSRULE, location);
  try {
    ask('get-rule', asking.bytes);
  } catch (error) {
    // Drivers say ENOENT or EINVAL for a place that is empty.
    if (failedWith(error, 'ENOENT', 'EINVAL')) return undefined;
    throw error;
  }
  return decodeRule(asking);
}

/** The location that a rule is to be added at. */
export function freeLocation(table: RuleTable): number {
  if (table.choosesLocation) return RX_CLS_LOC_ANY;
  const taken = new Set(table.rules.map((each) => each.location));
  let location = 0;
  while (taken.has(location)) location++;
  return location;
}

/**
 * Adds a rule.
 *
 * @returns its location
 * @throws SystemError EOPNOTSUPP or EINVAL where the driver cannot match that, ENOSPC
 *   where the table is full, EPERM
 */
export function addRule(interfaceName: string, rule: Rule, location: number): number {
  const inserting = encodeInsert(rule, location);
  ethtoolCommand(interfaceName, 'add-rule', inserting.bytes);
  return locationOf(inserting);
}

/** @throws SystemError ENOENT where there is none */
export function deleteRule(interfaceName: string, location: number): void {
  ethtoolCommand(interfaceName, 'delete-rule', atLocation(ETHTOOL_SRXCLSRLDEL, location).bytes);
}
