import { describe, expect, it } from 'vitest';

import { decodeLinks } from '../../dist/nic/netlink/link.js';
import { attribute, message, nest, number, text } from '../support/netlink.js';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const IFLA_IFNAME = 3;
const IFLA_XDP = 43;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_PROG_ID = 4;
const IFLA_PARENT_DEV_NAME = 56;
const IFLA_PARENT_DEV_BUS_NAME = 57;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const IFLA_LINK_NETNSID = 37;
const IFLA_PROP_LIST = 52;
const IFLA_ALT_IFNAME = 53;
const IFLA_PERM_ADDRESS = 54;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_LOWER_UP = 0x10000;
const AF_BRIDGE = 7;

interface Parts {
  family?: number;
  name?: string;
  attributes?: Uint8Array[];
}

/** A message about link 7. */
function link(type: number, flags: number, parts: Parts = {}): Buffer {
  const { family = 0, name = 'eth1', attributes = [] } = parts;
  const header = [Buffer.from([family, 0]), number(1, 2), number(7, 4), number(flags, 4)];
  const named = attribute(IFLA_IFNAME, text(name));
  const payload = Buffer.concat([...header, number(0, 4), named, ...attributes]);
  return message({ type, payload });
}

const LINK = {
  index: 7,
  name: 'eth1',
  state: 'up',
  carrier: true,
  loopback: false,
  xdpProgram: undefined,
  xdpMode: undefined,
  parent: undefined,
  alternativeNames: [],
  kind: undefined,
  lower: undefined,
  master: undefined,
  permanentAddress: undefined,
};

describe('decodeLinks()', () => {
  it('tells up, down and gone, and whether there is a carrier', () => {
    const bytes = Buffer.concat([
      link(RTM_NEWLINK, IFF_UP | IFF_LOWER_UP),
      link(RTM_NEWLINK, IFF_UP, { name: 'renamed' }),
      link(RTM_NEWLINK, 0),
      link(RTM_DELLINK, IFF_UP | IFF_LOWER_UP),
    ]);
    expect(decodeLinks(bytes)).toEqual([
      LINK,
      { ...LINK, name: 'renamed', carrier: false },
      { ...LINK, state: 'down', carrier: false },
      { ...LINK, state: 'gone', carrier: false },
    ]);
  });

  it('tells loopback, and the device behind a link', () => {
    const parent = [
      attribute(IFLA_PARENT_DEV_NAME, text('0000:3b:00.0')),
      attribute(IFLA_PARENT_DEV_BUS_NAME, text('pci')),
    ];
    const bytes = Buffer.concat([
      link(RTM_NEWLINK, IFF_UP | IFF_LOOPBACK, { name: 'lo' }),
      link(RTM_NEWLINK, IFF_UP, { attributes: parent }),
    ]);
    expect(decodeLinks(bytes)).toMatchObject([
      { name: 'lo', loopback: true, parent: undefined },
      { name: 'eth1', loopback: false, parent: { name: '0000:3b:00.0', bus: 'pci' } },
    ]);
  });

  it('tells alternative names, and the address that the hardware came with', () => {
    const names = ['enp59s0f0np0', 'a-name-of-more-than-15-bytes'].map((name) =>
      attribute(IFLA_ALT_IFNAME, text(name)),
    );
    const address = attribute(IFLA_PERM_ADDRESS, Buffer.from('525400123456', 'hex'));
    const attributes = [nest(IFLA_PROP_LIST, ...names), address];
    expect(decodeLinks(link(RTM_NEWLINK, 0, { attributes }))).toMatchObject([
      {
        name: 'eth1',
        alternativeNames: ['enp59s0f0np0', 'a-name-of-more-than-15-bytes'],
        permanentAddress: '525400123456',
      },
    ]);
  });

  it('tells what kind a virtual link is, and what it lies on or is part of', () => {
    const kind = nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, text('vlan')));
    const lower = attribute(IFLA_LINK, number(3, 4));
    const master = attribute(IFLA_MASTER, number(9, 4));
    const elsewhere = attribute(IFLA_LINK_NETNSID, number(0, 4));
    const bytes = Buffer.concat([
      link(RTM_NEWLINK, 0, { attributes: [kind, lower, master] }),
      // The index is one of another network namespace.
      link(RTM_NEWLINK, 0, { attributes: [kind, lower, elsewhere] }),
    ]);
    expect(decodeLinks(bytes)).toMatchObject([
      { kind: 'vlan', lower: 3, master: 9 },
      { kind: 'vlan', lower: undefined, master: undefined },
    ]);
  });

  it.for([
    [1, 'driver'],
    [2, 'generic'],
    [3, 'offload'],
    [4, 'several'],
    [99, undefined],
  ] as const)('tells how XDP is attached: %i is %s', ([mode, xdpMode]) => {
    const attached = attribute(IFLA_XDP_ATTACHED, number(mode, 1));
    const program = attribute(IFLA_XDP_PROG_ID, number(7, 4));
    const attributes = [nest(IFLA_XDP, attached, program)];
    expect(decodeLinks(link(RTM_NEWLINK, 0, { attributes }))).toMatchObject([
      { xdpMode, xdpProgram: 7 },
    ]);
  });

  it('tells no XDP program where none is attached', () => {
    const attributes = [nest(IFLA_XDP, attribute(IFLA_XDP_ATTACHED, number(0, 1)))];
    expect(decodeLinks(link(RTM_NEWLINK, 0, { attributes }))).toMatchObject([
      { xdpMode: undefined, xdpProgram: undefined },
    ]);
  });

  it('passes over messages of other families and about other things', () => {
    const bytes = Buffer.concat([
      link(RTM_DELLINK, 0, { family: AF_BRIDGE }),
      link(RTM_NEWADDR, 0),
      message({ type: RTM_NEWLINK, payload: Buffer.alloc(8) }),
    ]);
    expect(decodeLinks(bytes)).toEqual([]);
    expect(decodeLinks(Buffer.alloc(3))).toEqual([]);
    expect(decodeLinks(link(RTM_NEWLINK, 0).subarray(0, 20))).toEqual([]);
  });
});
