/**
 * Interfaces as rtnetlink lists them (include/uapi/linux/rtnetlink.h, if_link.h).
 */
import { endianness } from 'node:os';

import { systemError } from '../../errors.js';
import { native } from '../../native.js';
import { decodeAnswer, encodeMessage, NLM_F_ACK } from './message.js';

const NETLINK_ROUTE = 0;
const RTM_GETLINK = 18;
const IFINFOMSG = 16;
const IFINFOMSG_INDEX = 4;
const IFLA_IFNAME = 3;
const IFLA_XDP = 43;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_PROG_ID = 4;

export interface Link {
  name: string;
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
    new DataView(header.buffer).setInt32(IFINFOMSG_INDEX, index, endianness() === 'LE');
    const request = { type: RTM_GETLINK, flags: NLM_F_ACK, sequence: 1, header, attributes: [] };
    const answer = await socket.request(encodeMessage(request));
    if (typeof answer === 'number') throw systemError(answer, 'netlink');
    const [link] = decodeAnswer(answer, 1, IFINFOMSG).messages;
    const name = link?.string(IFLA_IFNAME);
    if (link === undefined || name === undefined) return undefined;
    const xdp = link.nested(IFLA_XDP);
    const attached = (xdp?.number(IFLA_XDP_ATTACHED) ?? 0) > 0;
    return { name, xdpProgram: attached ? (xdp?.number(IFLA_XDP_PROG_ID) ?? 0) : undefined };
  } finally {
    socket.close();
  }
}
