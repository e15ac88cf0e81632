/**
 * `struct ethtool_rxnfc`: flow rules as the kernel has them
 * (include/uapi/linux/ethtool.h). src/native/system/ethtool.cc asserts the layout.
 */
import type { Match } from '../flows.js';
import { addressBytes, addressText } from './addresses.js';
import { Struct } from './bytes.js';

export const ETHTOOL_GRXCLSRLCNT = 0x2e;
export const ETHTOOL_GRXCLSRULE = 0x2f;
export const ETHTOOL_GRXCLSRLALL = 0x30;
export const ETHTOOL_SRXCLSRLDEL = 0x31;
export const ETHTOOL_SRXCLSRLINS = 0x32;

/** "Wherever the driver likes", where it has such a thing. */
export const RX_CLS_LOC_ANY = 0xffffffff;
export const RX_CLS_LOC_SPECIAL = 0x80000000;

const TCP_V4_FLOW = 1;
const TCP_V6_FLOW = 5;
const FLOW_EXT = 0x80000000;
const FLOW_MAC_EXT = 0x40000000;
const FLOW_RSS = 0x20000000;

const RX_CLS_FLOW_DISC = 2n ** 64n - 1n;
const RX_CLS_FLOW_WAKE = 2n ** 64n - 2n;
// ETHTOOL_RX_FLOW_SPEC_RING, _RING_VF and _RING_VF_OFF.
const RING = 0xffffffffn;
const RING_VF = 0xffn;
const RING_VF_OFF = 32n;

const SIZE = 192;
const DATA = 8;
const RULE = 16;
const FLOW_TYPE = RULE;
const VALUES = RULE + 4;
const VALUES_EXT = RULE + 56;
const MASKS = RULE + 76;
const MASKS_EXT = RULE + 128;
const RING_COOKIE = RULE + 152;
const LOCATION = RULE + 160;
// One word: rule_cnt in some commands, rss_context in others.
const RULE_COUNT = 184;
const RSS_CONTEXT = 184;
const LOCATIONS = 188;

const FLOW_UNION_SIZE = 52;
const FLOW_EXT_SIZE = 20;

interface Layout {
  flowType: number;
  addressSize: number;
  src: number;
  dst: number;
  srcPort: number;
  dstPort: number;
}

// struct ethtool_tcpip4_spec and ethtool_tcpip6_spec.
const LAYOUTS: Readonly<Record<4 | 6, Layout>> = {
  4: { flowType: TCP_V4_FLOW, addressSize: 4, src: 0, dst: 4, srcPort: 8, dstPort: 10 },
  6: { flowType: TCP_V6_FLOW, addressSize: 16, src: 0, dst: 16, srcPort: 32, dstPort: 34 },
};

/** Where a rule sends packets: to a queue, or to an RSS context, which spreads them. */
export type Target = { readonly queue: number } | { readonly context: number };

/**
 * What else rules of others do with packets: to a queue counted from the context's, to
 * one of a virtual function, to nowhere, or to waking the machine.
 */
export type OtherTarget =
  | { readonly context: number; readonly offset: number }
  | { readonly virtualFunction: number; readonly queue: number }
  | 'drop'
  | 'wake';

export interface Rule {
  readonly match: Match;
  readonly target: Target;
}

/** A rule that matches as this package's do. */
export interface FoundRule {
  readonly match: Match;
  readonly target: Target | OtherTarget;
}

/** A rule in a driver's table. */
export interface InstalledRule {
  readonly location: number;
  /** Undefined for a rule that this package does not make: other protocols, partial masks. */
  readonly rule: FoundRule | undefined;
}

export function command(code: number): Struct {
  return new Struct(SIZE).setU32(0, code);
}

/** The command that asks for all locations, with room for `count` of them. */
export function listCommand(count: number): Struct {
  const size = Math.max(SIZE, LOCATIONS + 4 * count);
  return new Struct(size).setU32(0, ETHTOOL_GRXCLSRLALL).setU32(RULE_COUNT, count);
}

export interface RuleCount {
  count: number;
  /** Places of the table; 0 where the driver does not tell. */
  size: number;
  /** Whether the driver chooses a location itself when asked to. */
  choosesLocation: boolean;
}

export function decodeCount(answer: Struct): RuleCount {
  const data = answer.u64(DATA);
  const choosesLocation = Math.floor(data / RX_CLS_LOC_SPECIAL) % 2 === 1;
  return {
    count: answer.u32(RULE_COUNT),
    size: data % RX_CLS_LOC_SPECIAL,
    choosesLocation,
  };
}

/** The locations in use, and the table's size, 0 where the driver does not tell. */
export function decodeLocations(answer: Struct): { locations: number[]; size: number } {
  const room = Math.floor((answer.bytes.length - LOCATIONS) / 4);
  const count = Math.min(answer.u32(RULE_COUNT), room);
  const locations = Array.from({ length: count }, (_, at) => answer.u32(LOCATIONS + 4 * at));
  const size = answer.u64(DATA) % RX_CLS_LOC_SPECIAL;
  // bnxt_en has its number of rules there.
  return { locations, size: size > locations.length ? size : 0 };
}

export function atLocation(code: number, location: number): Struct {
  return command(code).setU32(LOCATION, location);
}

export function locationOf(answer: Struct): number {
  return answer.u32(LOCATION);
}

export function encodeInsert(rule: Rule, location: number): Struct {
  const { match, target } = rule;
  const layout = LAYOUTS[match.family];
  const struct = atLocation(ETHTOOL_SRXCLSRLINS, location);
  const spread = 'context' in target;
  struct.setU32(FLOW_TYPE, spread ? layout.flowType | FLOW_RSS : layout.flowType);
  struct.setU64(RING_COOKIE, spread ? 0 : target.queue);
  if (spread) struct.setU32(RSS_CONTEXT, target.context);
  setAddress(struct, layout, layout.src, match.remoteAddress);
  setAddress(struct, layout, layout.dst, match.localAddress);
  setPort(struct, layout.srcPort, match.remotePort);
  setPort(struct, layout.dstPort, match.localPort);
  return struct;
}

function setAddress(struct: Struct, layout: Layout, at: number, address?: string): void {
  if (address === undefined) return;
  struct.bytes.set(addressBytes(address), VALUES + at);
  struct.bytes.fill(0xff, MASKS + at, MASKS + at + layout.addressSize);
}

function setPort(struct: Struct, at: number, port?: number): void {
  if (port === undefined) return;
  struct.setBe16(VALUES + at, port).setBe16(MASKS + at, 0xffff);
}

/** The rule of a GRXCLSRULE answer; undefined where it matches as none of this package does. */
export function decodeRule(answer: Struct): FoundRule | undefined {
  const flowType = answer.u32(FLOW_TYPE);
  // Whether anything more is matched on, the masks of these extensions tell.
  const base = (flowType & ~(FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS)) >>> 0;
  const family = ([4, 6] as const).find((each) => LAYOUTS[each].flowType === base);
  if (family === undefined) return undefined;
  const match = decodeMatch(answer, family);
  if (match === undefined) return undefined;
  const spread = (flowType & FLOW_RSS) !== 0;
  return { match, target: decodeTarget(answer, spread) };
}

function decodeTarget(answer: Struct, spread: boolean): FoundRule['target'] {
  const cookie = answer.bigU64(RING_COOKIE);
  if (cookie === RX_CLS_FLOW_DISC) return 'drop';
  if (cookie === RX_CLS_FLOW_WAKE) return 'wake';
  const queue = Number(cookie & RING);
  if (spread) {
    const context = answer.u32(RSS_CONTEXT);
    return queue === 0 ? { context } : { context, offset: queue };
  }
  // 0 stands for the function that the interface is, 1 for its first virtual one.
  const virtualFunction = Number((cookie >> RING_VF_OFF) & RING_VF) - 1;
  return virtualFunction < 0 ? { queue } : { virtualFunction, queue };
}

function decodeMatch(answer: Struct, family: 4 | 6): Match | undefined {
  const layout = LAYOUTS[family];
  const { addressSize } = layout;
  const fields = {
    remoteAddress: field(answer, layout.src, addressSize),
    localAddress: field(answer, layout.dst, addressSize),
    remotePort: field(answer, layout.srcPort, 2),
    localPort: field(answer, layout.dstPort, 2),
  };
  const masked = [
    answer.bytes.subarray(MASKS, MASKS + FLOW_UNION_SIZE),
    answer.bytes.subarray(MASKS_EXT, MASKS_EXT + FLOW_EXT_SIZE),
  ].reduce((sum, bytes) => sum + bytes.filter((byte) => byte !== 0).length, 0);
  const known = Object.values(fields).reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0);
  // A mask elsewhere, or a partial one: not a rule of ours.
  if (masked !== known) return undefined;
  const { remoteAddress, localAddress, remotePort, localPort } = fields;
  return {
    family,
    ...(localAddress && { localAddress: addressText(localAddress) }),
    ...(localPort && { localPort: new Struct(localPort).be16(0) }),
    ...(remoteAddress && { remoteAddress: addressText(remoteAddress) }),
    ...(remotePort && { remotePort: new Struct(remotePort).be16(0) }),
  };
}

/** A field's value if its mask is full. */
function field(answer: Struct, at: number, size: number): Uint8Array | undefined {
  const mask = answer.bytes.subarray(MASKS + at, MASKS + at + size);
  if (!mask.every((byte) => byte === 0xff)) return undefined;
  return answer.bytes.subarray(VALUES + at, VALUES + at + size);
}

/** Whether both steer the same packets to the same place, however addresses are written. */
export function sameRule(a: FoundRule, b: Rule): boolean {
  return sameMatch(a.match, b.match) && sameTarget(a.target, b.target);
}

export function sameMatch(a: Match, b: Match): boolean {
  const bytes = ({ bytes: all }: Struct): string =>
    Buffer.from(all.subarray(FLOW_TYPE, VALUES_EXT)).toString('hex') +
    Buffer.from(all.subarray(MASKS, MASKS_EXT)).toString('hex');
  const target = { queue: 0 };
  return (
    bytes(encodeInsert({ match: a, target }, 0)) === bytes(encodeInsert({ match: b, target }, 0))
  );
}

function sameTarget(a: FoundRule['target'], b: Target): boolean {
  if (typeof a === 'string' || 'offset' in a || 'virtualFunction' in a) return false;
  if ('queue' in a) return 'queue' in b && a.queue === b.queue;
  return 'context' in b && a.context === b.context;
}
