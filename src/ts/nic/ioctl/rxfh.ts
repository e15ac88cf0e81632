/**
 * `struct ethtool_rxfh`: RSS tables and contexts on kernels whose netlink family
 * cannot change them (include/uapi/linux/ethtool.h).
 */
import { Struct } from './bytes.js';
import { ethtoolCommand } from './call.js';

const ETHTOOL_GRSSH = 0x46;
const ETHTOOL_SRSSH = 0x47;

const HEADER = 24;
const RSS_CONTEXT = 4;
const INDIR_SIZE = 8;
const KEY_SIZE = 12;
const INPUT_XFRM = 17;

const NEW_CONTEXT = 0xffffffff;
const RXH_XFRM_NO_CHANGE = 0xff;

/** The default context's table; empty where the driver has none. */
export function readTable(interfaceName: string): number[] {
  const sizes = new Struct(HEADER).setU32(0, ETHTOOL_GRSSH);
  ethtoolCommand(interfaceName, 'get-rss', sizes.bytes);
  const entries = sizes.u32(INDIR_SIZE);
  const keySize = sizes.u32(KEY_SIZE);
  const asking = new Struct(HEADER + 4 * entries + keySize)
    .setU32(0, ETHTOOL_GRSSH)
    .setU32(INDIR_SIZE, entries)
    .setU32(KEY_SIZE, keySize);
  ethtoolCommand(interfaceName, 'get-rss', asking.bytes);
  return Array.from({ length: entries }, (_, at) => asking.u32(HEADER + 4 * at));
}

/** Sets the default context's table; an empty one means the driver's default. */
export function writeTable(interfaceName: string, table: readonly number[]): void {
  const struct = withTable(table);
  // Before Linux 6.8 this byte is reserved, and must be 0. Where a transformation is
  // on, the kernel is newer, and 0 would turn it off.
  const now = new Struct(HEADER).setU32(0, ETHTOOL_GRSSH);
  ethtoolCommand(interfaceName, 'get-rss', now.bytes);
  if (now.bytes[INPUT_XFRM] !== 0) struct.bytes[INPUT_XFRM] = RXH_XFRM_NO_CHANGE;
  ethtoolCommand(interfaceName, 'set-rss', struct.bytes);
}

function withTable(table: readonly number[]): Struct {
  const struct = new Struct(HEADER + 4 * table.length)
    .setU32(0, ETHTOOL_SRSSH)
    .setU32(INDIR_SIZE, table.length);
  table.forEach((queue, at) => struct.setU32(HEADER + 4 * at, queue));
  return struct;
}

/** Makes a context of its own with the table; returns its number. */
export function createContext(interfaceName: string, table: readonly number[]): number {
  const struct = withTable(table).setU32(RSS_CONTEXT, NEW_CONTEXT);
  ethtoolCommand(interfaceName, 'create-rss-context', struct.bytes);
  return struct.u32(RSS_CONTEXT);
}

export function deleteContext(interfaceName: string, context: number): void {
  const struct = withTable([]).setU32(RSS_CONTEXT, context);
  ethtoolCommand(interfaceName, 'delete-rss-context', struct.bytes);
}
