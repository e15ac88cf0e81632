import { describe, expect, it } from 'vitest';

import { decodeLinks } from '../../dist/nic/netlink/link.js';
import { attribute, message, number, text } from '../support/netlink.js';

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const IFLA_IFNAME = 3;
const IFF_UP = 1;
const IFF_LOWER_UP = 0x10000;
const AF_BRIDGE = 7;

/** A message about link 7. */
function link(type: number, flags: number, { family = 0, name = 'eth1' } = {}): Buffer {
  const header = [Buffer.from([family, 0]), number(1, 2), number(7, 4), number(flags, 4)];
  const payload = Buffer.concat([...header, number(0, 4), attribute(IFLA_IFNAME, text(name))]);
  return message({ type, payload });
}

describe('decodeLinks()', () => {
  it('tells up, down and gone, and whether there is a carrier', () => {
    const bytes = Buffer.concat([
      link(RTM_NEWLINK, IFF_UP | IFF_LOWER_UP),
      link(RTM_NEWLINK, IFF_UP, { name: 'renamed' }),
      link(RTM_NEWLINK, 0),
      link(RTM_DELLINK, IFF_UP | IFF_LOWER_UP),
    ]);
    const xdpProgram = undefined;
    expect(decodeLinks(bytes)).toEqual([
      { index: 7, name: 'eth1', state: 'up', carrier: true, xdpProgram },
      { index: 7, name: 'renamed', state: 'up', carrier: false, xdpProgram },
      { index: 7, name: 'eth1', state: 'down', carrier: false, xdpProgram },
      { index: 7, name: 'eth1', state: 'gone', carrier: false, xdpProgram },
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
