/**
 * Interfaces as rtnetlink lists them (include/uapi/linux/rtnetlink.h, if_link.h).
 */
import { endianness } from 'node:os';

import { systemError } from '../../errors.js';
import { native } from '../../native.js';
import { type Attributes, decodeAnswer, encodeMessage, NLM_F_ACK, NLM_F_DUMP } from './message.js';

const NETLINK_ROUTE = 0;
const RTM_GETLINK = 18;
const IFINFOMSG = 16;
const IFINFOMSG_INDEX = 4;
const IFINFOMSG_FLAGS = 8;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFLA_IFNAME = 3;
const IFLA_XDP = 43;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_PROG_ID = 4;
const IFLA_PARENT_DEV_NAME = 56;
const IFLA_PARENT_DEV_BUS_NAME = 57;

// XDP_ATTACHED_*
const XDP_MODES = [undefined, 'driver', 'generic', 'offload', 'several'] as const;

const little = endianness() === 'LE';

export interface Link {
  name: string;
  index: number;
  up: boolean;
  loopback: boolean;
  /** The XDP program on it: its number, 0 where it has none to tell; undefined without one. */
  xdpProgram: number | undefined;
  /** How it is attached. */
  xdpMode: (typeof XDP_MODES)[number];
  /** The device behind it, such as `0000:3b:00.0` on bus `pci`; none for virtual interfaces. */
  parent: { name: string; bus: string } | undefined;
}

/** The interface with the index; undefined where there is none. */
export async function getLink(index: number): Promise<Link | undefined> {
  return (await requestLinks(index, NLM_F_ACK))[0];
}

/**
 * The interfaces of this network namespace. Needs neither privilege nor sysfs.
 *
 * @throws SystemError where the kernel does not answer
 */
export function listLinks(): Promise<Link[]> {
  return requestLinks(0, NLM_F_DUMP);
}

async function requestLinks(index: number, flags: number): Promise<Link[]> {
  const socket = new (native().NetlinkSocket)();
  const status = socket.open(NETLINK_ROUTE);
  if (status < 0) throw systemError(status, 'socket(AF_NETLINK)');
  try {
    const header = new Uint8Array(IFINFOMSG);
    new DataView(header.buffer).setInt32(IFINFOMSG_INDEX, index, little);
    const request = { type: RTM_GETLINK, flags, sequence: 1, header, attributes: [] };
    const answer = await socket.request(encodeMessage(request));
    if (typeof answer === 'number') throw systemError(answer, 'netlink');
    return decodeLinks(answer, 1);
  } finally {
    socket.close();
  }
}

/** The interfaces in the answer to the request with the given sequence number. */
export function decodeLinks(answer: Uint8Array, sequence: number): Link[] {
  return decodeAnswer(answer, sequence, IFINFOMSG)
    .messages.map(decodeLink)
    .filter((link) => link !== undefined);
}

function decodeLink(message: Attributes): Link | undefined {
  const { header } = message;
  const name = message.string(IFLA_IFNAME);
  if (name === undefined || header.length < IFINFOMSG) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const flags = view.getUint32(IFINFOMSG_FLAGS, little);
  const xdp = message.nested(IFLA_XDP);
  const mode = xdp?.number(IFLA_XDP_ATTACHED) ?? 0;
  const parent = message.string(IFLA_PARENT_DEV_NAME);
  return {
    name,
    index: view.getInt32(IFINFOMSG_INDEX, little),
    up: (flags & IFF_UP) !== 0,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    xdpProgram: mode > 0 ? (xdp?.number(IFLA_XDP_PROG_ID) ?? 0) : undefined,
    xdpMode: XDP_MODES[mode],
    parent:
      parent === undefined
        ? undefined
        : { name: parent, bus: message.string(IFLA_PARENT_DEV_BUS_NAME) ?? '' },
  };
}
