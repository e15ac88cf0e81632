/**
 * Interfaces as rtnetlink lists them, and tells of them unasked
 * (include/uapi/linux/rtnetlink.h, if_link.h; net/core/rtnetlink.c).
 */
import { constants, endianness } from 'node:os';

import { systemError } from '../../errors.js';
import { native } from '../../native.js';
import { Attributes, decodeAnswer, encodeMessage, NLM_F_ACK, splitMessages } from './message.js';

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
const IFF_LOWER_UP = 1 << 16;

const IFLA_IFNAME = 3;
const IFLA_XDP = 43;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_PROG_ID = 4;

const little = endianness() === 'LE';

export interface Link {
  index: number;
  name: string;
  /** As the administrator set it; `gone` from this network namespace. */
  state: 'up' | 'down' | 'gone';
  /** Whether there is a link to the other end. */
  carrier: boolean;
  /** The XDP program on it: its number, 0 where it has none to tell; undefined without one. */
  xdpProgram: number | undefined;
}

/** The interface with the index; undefined where there is none. */
export async function getLink(index: number): Promise<Link | undefined> {
  const socket = new (native().NetlinkSocket)();
  const status = socket.open(NETLINK_ROUTE);
  if (status < 0) throw systemError(status, 'socket(AF_NETLINK)');
  try {
    const header = new Uint8Array(IFINFOMSG);
    new DataView(header.buffer).setInt32(IFINFOMSG_INDEX, index, little);
    const request = { type: RTM_GETLINK, flags: NLM_F_ACK, sequence: 1, header, attributes: [] };
    const answer = await socket.request(encodeMessage(request));
    if (typeof answer === 'number') throw systemError(answer, 'netlink');
    const { errno } = decodeAnswer(answer, 1, IFINFOMSG);
    if (errno === -constants.errno.ENODEV) return undefined;
    if (errno < 0) throw systemError(errno, 'rtnetlink getlink', { subject: `link ${index}` });
    return decodeLinks(answer)[0];
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
  const attached = (xdp?.number(IFLA_XDP_ATTACHED) ?? 0) > 0;
  return {
    index: view.getInt32(MESSAGE_HEADER + IFINFOMSG_INDEX, little),
    name: attributes.string(IFLA_IFNAME) ?? '',
    state: gone ? 'gone' : (flags & IFF_UP) !== 0 ? 'up' : 'down',
    carrier: !gone && (flags & IFF_LOWER_UP) !== 0,
    xdpProgram: attached ? (xdp?.number(IFLA_XDP_PROG_ID) ?? 0) : undefined,
  };
}
