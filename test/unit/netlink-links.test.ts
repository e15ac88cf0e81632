import { describe, expect, it } from 'vitest';

import { decodeLinks } from '../../dist/nic/netlink/link.js';
import { attribute, message, nest, number, text } from '../support/netlink.js';

const RTM_NEWLINK = 16;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;

/** struct ifinfomsg and attributes. */
function link(index: number, flags: number, ...attributes: Uint8Array[]): Buffer {
  const header = Buffer.concat([number(0, 4), number(index, 4), number(flags, 4), number(0, 4)]);
  return message({ type: RTM_NEWLINK, payload: Buffer.concat([header, ...attributes]) });
}

const name = (value: string): Buffer => attribute(3, text(value));

const none = {
  up: true,
  loopback: false,
  xdpProgram: undefined,
  xdpMode: undefined,
  parent: undefined,
};

describe('links', () => {
  it('have a name, a state and the device behind them', () => {
    const lo = link(1, IFF_UP | IFF_LOOPBACK, name('lo'));
    const eth0 = link(
      4,
      IFF_UP,
      name('eth0'),
      attribute(56, text('0000:3b:00.0')),
      attribute(57, text('pci')),
      nest(43, attribute(2, number(0, 1))),
    );
    expect(decodeLinks(Buffer.concat([lo, eth0]), 1)).toEqual([
      { ...none, name: 'lo', index: 1, loopback: true },
      { ...none, name: 'eth0', index: 4, parent: { name: '0000:3b:00.0', bus: 'pci' } },
    ]);
  });

  it.for([
    [1, 'driver'],
    [2, 'generic'],
    [3, 'offload'],
    [4, 'several'],
    [99, undefined],
  ] as const)('tell how XDP is attached: %i is %s', ([mode, expected]) => {
    const [found] = decodeLinks(
      link(4, 0, name('eth0'), nest(43, attribute(2, number(mode, 1)), attribute(4, number(7, 4)))),
      1,
    );
    expect(found).toMatchObject({ up: false, xdpMode: expected, xdpProgram: 7 });
  });

  it('that are cut short, and other messages, are left out', () => {
    const short = message({ type: RTM_NEWLINK, payload: Buffer.alloc(8) });
    const other = message({ type: 20, payload: Buffer.alloc(64) });
    expect(decodeLinks(Buffer.concat([short, other]), 1)).toEqual([]);
  });
});
