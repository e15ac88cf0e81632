/**
 * Interfaces as rtnetlink lists them, and tells of them unasked
 * (include/uapi/linux/rtnetlink.h, if_link.h; net/core/rtnetlink.c).
 */
import { constants, endianness } from 'node:os';

import { systemError } from '../../errors.js';
import { native } from '../../native.js';
import { printable } from '../quoting.js';
import {
  type Attribute,
  Attributes,
  decodeAnswer,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  splitMessages,
} from './message.js';

export const NETLINK_ROUTE = 0;
/** Group of messages about links. */
export const RTMGRP_LINK = 1;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

// struct nlmsghdr; struct ifinfomsg and its members' places
const MESSAGE_HEADER = 16;
const IFINFOMSG = 16;
const IFINFOMSG_INDEX = 4;
const IFINFOMSG_FLAGS = 8;

const AF_UNSPEC = 0;
const IFF_UP = 1 << 0;
const IFF_LOOPBACK = 1 << 3;
const IFF_LOWER_UP = 1 << 16;

const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_LINK_NETNSID = 37;
const IFLA_XDP = 43;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_PROG_ID = 4;
const IFLA_PROP_LIST = 52;
const IFLA_ALT_IFNAME = 53;
const IFLA_PERM_ADDRESS = 54;
const IFLA_PARENT_DEV_NAME = 56;
const IFLA_PARENT_DEV_BUS_NAME = 57;

// include/uapi/linux/if.h, with the terminating zero
const IFNAMSIZ = 16;

// XDP_ATTACHED_*
const XDP_MODES = [undefined, 'driver', 'generic', 'offload', 'several'] as const;

const little = endianness() === 'LE';

export interface Link {
  index: number;
  /** The one by which the kernel calls it; others may serve to find it. */
  name: string;
  /** Its others (`ip link property add … altname`). */
  alternativeNames: readonly string[];
  /** As the administrator set it; `gone` from this network namespace. */
  state: 'up' | 'down' | 'gone';
  /** Whether there is a link to the other end. */
  carrier: boolean;
  loopback: boolean;
  /** The XDP program on it: its number, 0 where it has none to tell; undefined without one. */
  xdpProgram: number | undefined;
  /** How it is attached. */
  xdpMode: (typeof XDP_MODES)[number];
  /** The device behind it, such as `0000:3b:00.0` on bus `pci`; none for virtual interfaces. */
  parent: { name: string; bus: string } | undefined;
  /** What kind of virtual interface it is, e.g. `vlan`; undefined for others. */
  kind: string | undefined;
  /** Index of the link that it sits on, where that is of this network namespace. */
  lower: number | undefined;
  /** Index of the bond or bridge that it is part of. */
  master: number | undefined;
  /** The hardware address that it came with, in hexadecimal. */
  permanentAddress: string | undefined;
}

/**
 * The interface with the index; undefined where there is none.
 *
 * @throws SystemError where the kernel refuses to tell
 */
export function getLink(index: number): Promise<Link | undefined> {
  return requestLink(index, [], `link ${index}`);
}

/**
 * The interface that goes by the name, be it its own or another one; undefined where
 * none does. Unlike the ioctls, netlink takes names of every length, and whole.
 *
 * @throws SystemError where the kernel refuses to tell
 */
export function findLink(name: string): Promise<Link | undefined> {
  const fits = Buffer.byteLength(name) < IFNAMSIZ;
  return requestLink(0, [[fits ? IFLA_IFNAME : IFLA_ALT_IFNAME, name]], printable(name));
}

/**
 * The interfaces of this network namespace. Needs neither privilege nor sysfs.
 *
 * @throws SystemError where the kernel refuses to tell
 */
export async function listLinks(): Promise<Link[]> {
  const { links, errno } = await requestLinks(0, NLM_F_DUMP, []);
  if (errno < 0) throw systemError(errno, 'rtnetlink getlink');
  return links;
}

async function requestLink(
  index: number,
  attributes: readonly Attribute[],
  subject: string,
): Promise<Link | undefined> {
  const { links, errno } = await requestLinks(index, NLM_F_ACK, attributes);
  if (errno === -constants.errno.ENODEV) return undefined;
  if (errno < 0) throw systemError(errno, 'rtnetlink getlink', { subject });
  return links[0];
}

async function requestLinks(
  index: number,
  flags: number,
  attributes: readonly Attribute[],
): Promise<{ links: Link[]; errno: number }> {
  const socket = new (native().NetlinkSocket)();
  const status = socket.open(NETLINK_ROUTE);
  if (status < 0) throw systemError(status, 'socket(AF_NETLINK)');
  try {
    const header = new Uint8Array(IFINFOMSG);
    new DataView(header.buffer).setInt32(IFINFOMSG_INDEX, index, little);
    const request = { type: RTM_GETLINK, flags, sequence: 1, header, attributes };
    const answer = await socket.request(encodeMessage(request));
    if (typeof answer === 'number') throw systemError(answer, 'netlink');
    return { links: decodeLinks(answer), errno: decodeAnswer(answer, 1, IFINFOMSG).errno };
  } finally {
    socket.close();
  }
}

/** The links that messages tell of, in order. */
export function decodeLinks(bytes: Uint8Array): Link[] {
  return splitMessages(bytes)
    .map(decodeLink)
    .filter((link) => link !== undefined);
}

// Messages of other families (AF_BRIDGE, AF_INET6) tell of other things than the link.
function decodeLink(message: Uint8Array): Link | undefined {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const type = view.getUint16(4, little);
  if (type !== RTM_NEWLINK && type !== RTM_DELLINK) return undefined;
  if (message.length < MESSAGE_HEADER + IFINFOMSG) return undefined;
  if (view.getUint8(MESSAGE_HEADER) !== AF_UNSPEC) return undefined;
  const attributes = new Attributes(message.subarray(MESSAGE_HEADER + IFINFOMSG));
  const flags = view.getUint32(MESSAGE_HEADER + IFINFOMSG_FLAGS, little);
  const gone = type === RTM_DELLINK;
  const xdp = attributes.nested(IFLA_XDP);
  const attached = xdp?.number(IFLA_XDP_ATTACHED) ?? 0;
  return {
    index: view.getInt32(MESSAGE_HEADER + IFINFOMSG_INDEX, little),
    name: attributes.string(IFLA_IFNAME) ?? '',
    alternativeNames: attributes.nested(IFLA_PROP_LIST)?.strings(IFLA_ALT_IFNAME) ?? [],
    state: gone ? 'gone' : (flags & IFF_UP) !== 0 ? 'up' : 'down',
    carrier: !gone && (flags & IFF_LOWER_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    xdpProgram: attached > 0 ? (xdp?.number(IFLA_XDP_PROG_ID) ?? 0) : undefined,
    xdpMode: XDP_MODES[attached],
    parent: decodeParent(attributes),
    kind: attributes.nested(IFLA_LINKINFO)?.string(IFLA_INFO_KIND),
    lower: attributes.has(IFLA_LINK_NETNSID) ? undefined : attributes.number(IFLA_LINK),
    master: attributes.number(IFLA_MASTER),
    permanentAddress: hexadecimal(attributes.bytes(IFLA_PERM_ADDRESS)),
  };
}

function decodeParent(attributes: Attributes): Link['parent'] {
  const name = attributes.string(IFLA_PARENT_DEV_NAME);
  if (name === undefined) return undefined;
  return { name, bus: attributes.string(IFLA_PARENT_DEV_BUS_NAME) ?? '' };
}

function hexadecimal(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
}
