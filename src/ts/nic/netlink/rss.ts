/**
 * RSS: which queue a packet's hash leads to (`ethtool -x`, `-X`). By the generic
 * netlink family "ethtool" as far as the kernel's has it (reading since Linux 6.3,
 * changing since 6.17), else by ioctl.
 */
import { constants, endianness } from 'node:os';

import { systemError } from '../../errors.js';
import { failedWith } from '../ioctl/call.js';
import * as ioctl from '../ioctl/rxfh.js';
import { printable } from '../quoting.js';
import { ethtoolSet, header } from './ethtool.js';
import { GenericNetlink } from './generic.js';
import type { Attribute } from './message.js';

const ETHTOOL_MSG_RSS_GET = 38;
const ETHTOOL_MSG_RSS_SET = 48;
const ETHTOOL_MSG_RSS_CREATE_ACT = 49;
const ETHTOOL_MSG_RSS_DELETE_ACT = 50;
const ETHTOOL_A_RSS_CONTEXT = 2;
const ETHTOOL_A_RSS_INDIR = 4;

// No driver has that many; it is there to ask whether there could be any.
const NO_SUCH_CONTEXT = 0x7ffffffe;

export interface Rss {
  /** Queue by the low bits of the hash. */
  table: number[];
  /** Whether the driver can have contexts beside the default one. */
  contexts: boolean;
}

/** The default context; undefined where the driver has none. */
export async function getRss(interfaceName: string): Promise<Rss | undefined> {
  using netlink = await GenericNetlink.open('ethtool');
  if (!netlink.commands.has(ETHTOOL_MSG_RSS_GET)) return getByIoctl(interfaceName);
  const { messages, errno } = await netlink.request(ETHTOOL_MSG_RSS_GET, [header(interfaceName)]);
  const table = readTable(messages[0]?.bytes(ETHTOOL_A_RSS_INDIR));
  if (errno < 0 || table.length === 0) return undefined;
  const probe = await netlink.request(ETHTOOL_MSG_RSS_GET, [
    header(interfaceName),
    [ETHTOOL_A_RSS_CONTEXT, NO_SUCH_CONTEXT],
  ]);
  return { table, contexts: probe.errno === -constants.errno.ENOENT };
}

function getByIoctl(interfaceName: string): Rss | undefined {
  try {
    const table = ioctl.readTable(interfaceName);
    return table.length === 0 ? undefined : { table, contexts: false };
  } catch (error) {
    if (failedWith(error, 'EOPNOTSUPP', 'EINVAL')) return undefined;
    throw error;
  }
}

function readTable(bytes: Uint8Array | undefined): number[] {
  if (bytes === undefined) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = Math.floor(bytes.length / 4);
  return Array.from({ length: entries }, (_, at) => view.getUint32(4 * at, endianness() === 'LE'));
}

function tableAttribute(table: readonly number[]): Attribute {
  return [ETHTOOL_A_RSS_INDIR, new Uint8Array(Uint32Array.from(table).buffer)];
}

/** Whether this kernel's family has the command. */
async function has(command: number): Promise<boolean> {
  using netlink = await GenericNetlink.open('ethtool');
  return netlink.commands.has(command);
}

/**
 * Sets the table of the default context. An empty one stands for the driver's
 * default, which then follows the number of queues.
 *
 * @throws SystemError EPERM without CAP_NET_ADMIN, EOPNOTSUPP where the driver cannot,
 *   EINVAL for a queue that is not there
 */
export async function setRssTable(interfaceName: string, table: readonly number[]): Promise<void> {
  if (!(await has(ETHTOOL_MSG_RSS_SET))) {
    ioctl.writeTable(interfaceName, table);
    return;
  }
  await ethtoolSet(interfaceName, ETHTOOL_MSG_RSS_SET, 'rss-set', [tableAttribute(table)]);
}

/**
 * Makes a context with a table of its own, for rules to send packets to.
 *
 * @returns its number
 */
export async function createRssContext(
  interfaceName: string,
  table: readonly number[],
): Promise<number> {
  if (!(await has(ETHTOOL_MSG_RSS_CREATE_ACT))) return ioctl.createContext(interfaceName, table);
  const what = 'rss-create';
  const answer = await ethtoolSet(interfaceName, ETHTOOL_MSG_RSS_CREATE_ACT, what, [
    tableAttribute(table),
  ]);
  const context = answer?.number(ETHTOOL_A_RSS_CONTEXT);
  if (context === undefined) {
    throw systemError(-22, `ethtool ${what}`, {
      subject: `${printable(interfaceName)}: no number came back`,
    });
  }
  return context;
}

/** @throws SystemError ENOENT where there is none, EBUSY where a rule uses it */
export async function deleteRssContext(interfaceName: string, context: number): Promise<void> {
  if (!(await has(ETHTOOL_MSG_RSS_DELETE_ACT))) {
    ioctl.deleteContext(interfaceName, context);
    return;
  }
  await ethtoolSet(interfaceName, ETHTOOL_MSG_RSS_DELETE_ACT, 'rss-delete', [
    [ETHTOOL_A_RSS_CONTEXT, context],
  ]);
}

/** The table of a context; undefined where there is no such context. */
export async function getRssContext(
  interfaceName: string,
  context: number,
): Promise<number[] | undefined> {
  using netlink = await GenericNetlink.open('ethtool');
  const { messages } = await netlink.request(ETHTOOL_MSG_RSS_GET, [
    header(interfaceName),
    [ETHTOOL_A_RSS_CONTEXT, context],
  ]);
  const bytes = messages[0]?.bytes(ETHTOOL_A_RSS_INDIR);
  return bytes === undefined ? undefined : readTable(bytes);
}

/** The numbers of all contexts beside the default one, as far as the kernel lists them. */
export async function listRssContexts(interfaceName: string): Promise<number[]> {
  using netlink = await GenericNetlink.open('ethtool');
  const attributes = [header(interfaceName)];
  const { messages } = await netlink.request(ETHTOOL_MSG_RSS_GET, attributes, true);
  return messages
    .map((each) => each.number(ETHTOOL_A_RSS_CONTEXT))
    .filter((context) => context !== undefined);
}
