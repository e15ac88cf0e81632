/** The layout itself is asserted against linux/ethtool.h in src/native/system/ethtool.cc. */
import { describe, expect, it } from 'vitest';

import { addressBytes, addressText } from '../../dist/nic/ioctl/addresses.js';
import { Struct } from '../../dist/nic/ioctl/bytes.js';
import {
  command,
  decodeCount,
  decodeLocations,
  decodeRule,
  encodeInsert,
  listCommand,
  type Rule,
  sameRule,
} from '../../dist/nic/ioctl/rxnfc.js';
import { number, readNumber } from '../support/netlink.js';

const five: Rule = {
  match: {
    family: 4,
    localAddress: '192.0.2.1',
    localPort: 5201,
    remoteAddress: '192.0.2.2',
    remotePort: 0x1234,
  },
  target: { queue: 3 },
};

const hex = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('hex');

describe('a rule to be added', () => {
  it('has values and masks of IPv4 where the kernel looks for them', () => {
    const { bytes } = encodeInsert(five, 0xffffffff);
    expect(bytes).toHaveLength(192);
    expect(readNumber(bytes, 0, 4)).toBe(0x32);
    expect(readNumber(bytes, 16, 4)).toBe(1);
    expect(hex(bytes, 20, 32)).toBe('c0000202' + 'c0000201' + '1234' + '1451');
    expect(hex(bytes, 32, 92)).toBe('00'.repeat(60));
    expect(hex(bytes, 92, 104)).toBe('ff'.repeat(12));
    expect(hex(bytes, 104, 168)).toBe('00'.repeat(64));
    expect(readNumber(bytes, 168, 4) + readNumber(bytes, 172, 4)).toBe(3);
    expect(readNumber(bytes, 176, 4)).toBe(0xffffffff);
  });

  it('has values and masks of IPv6 where the kernel looks for them', () => {
    const match = { family: 6, localAddress: '2001:db8::1', localPort: 80 } as const;
    const { bytes } = encodeInsert({ match, target: { queue: 0 } }, 7);
    expect(readNumber(bytes, 16, 4)).toBe(5);
    expect(hex(bytes, 20, 36)).toBe('00'.repeat(16));
    expect(hex(bytes, 36, 52)).toBe('20010db8000000000000000000000001');
    expect(hex(bytes, 52, 56)).toBe('0000' + '0050');
    expect(hex(bytes, 92, 128)).toBe('00'.repeat(16) + 'ff'.repeat(16) + '0000' + 'ffff');
    expect(readNumber(bytes, 176, 4)).toBe(7);
  });

  it('names an RSS context where it spreads', () => {
    const { bytes } = encodeInsert({ ...five, target: { context: 9 } }, 0);
    expect(readNumber(bytes, 16, 4)).toBe(0x20000001);
    expect(readNumber(bytes, 184, 4)).toBe(9);
  });

  it.each<Rule>([
    five,
    { ...five, target: { context: 2 } },
    { match: { family: 6, localPort: 1 }, target: { queue: 65535 } },
    { match: { family: 6, remoteAddress: 'fe80::1', remotePort: 65535 }, target: { queue: 0 } },
  ])('reads back as what it was: %j', (rule) => {
    expect(decodeRule(encodeInsert(rule, 1))).toEqual(rule);
  });

  it('is the same as one whose address is written otherwise', () => {
    const of = (localAddress: string): Rule => ({
      match: { family: 6, localAddress, localPort: 1 },
      target: { queue: 1 },
    });
    expect(sameRule(of('2001:db8::1'), of('2001:0DB8:0:0:0:0:0:1'))).toBe(true);
    expect(sameRule(of('2001:db8::1'), of('2001:db8::2'))).toBe(false);
    expect(sameRule(five, { ...five, target: { queue: 2 } })).toBe(false);
    expect(sameRule(five, { ...five, target: { context: 3 } })).toBe(false);
    expect(sameRule(five, { ...five, match: { family: 4, localPort: 5201 } })).toBe(false);
  });
});

describe('a rule that somebody else made', () => {
  it.each([
    ['of another protocol', 16, 2],
    ['with half a mask', 92, 0x0f],
    ['with a type of service', 105, 0xff],
    ['with a VLAN', 145, 0xff],
    ['with user data', 163, 0x01],
  ])('%s is none of ours', (_, at, value) => {
    const struct = encodeInsert(five, 0);
    struct.bytes[at] = value;
    expect(decodeRule(struct)).toBeUndefined();
  });
});

describe('counts and locations', () => {
  const counted = (data: number, count: number): Struct => {
    const struct = command(0x2e).setU64(8, data);
    return struct.setU32(184, count);
  };

  it('tell the table’s size, and who chooses places in it', () => {
    expect(decodeCount(counted(0x80000080, 5))).toEqual({
      count: 5,
      size: 128,
      choosesLocation: true,
    });
    expect(decodeCount(counted(0, 5))).toEqual({ count: 5, size: 0, choosesLocation: false });
  });

  it('are asked for with room for all', () => {
    expect(listCommand(0).bytes).toHaveLength(192);
    expect(listCommand(1).bytes).toHaveLength(192);
    expect(listCommand(100).bytes).toHaveLength(188 + 400);
    expect(readNumber(listCommand(100).bytes, 184, 4)).toBe(100);
  });

  it('are read as far as there is room, whatever count came back', () => {
    const listing = listCommand(2).setU32(188, 7).setU32(192, 9).setU32(184, 0xffffffff);
    expect(decodeLocations(listing)).toEqual({ locations: [7, 9], size: 0 });
    listing.setU32(184, 1);
    expect(decodeLocations(listing).locations).toEqual([7]);
  });
});

describe('an address', () => {
  it.each([
    ['192.0.2.1', 'c0000201', '192.0.2.1'],
    ['0.0.0.0', '00000000', '0.0.0.0'],
    ['::', '00'.repeat(16), '::'],
    ['::1', '00'.repeat(15) + '01', '::1'],
    ['1::', '0001' + '00'.repeat(14), '1::'],
    ['2001:db8:0:0:1:0:0:1', '20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    ['::ffff:192.0.2.1', '00'.repeat(10) + 'ffff' + 'c0000201', '::ffff:c000:201'],
    ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008', '1:2:3:4:5:6:7:8'],
  ])('%s is %s', (text, bytes, canonical) => {
    expect(Buffer.from(addressBytes(text)).toString('hex')).toBe(bytes);
    expect(addressText(addressBytes(text))).toBe(canonical);
  });
});

it('a structure has fields in the host’s order, ports in the network’s', () => {
  const struct = new Struct(16)
    .setU32(0, 0x01020304)
    .setU64(8, 2 ** 33)
    .setBe16(4, 0x0506);
  expect(Buffer.from(struct.bytes.subarray(0, 4))).toEqual(number(0x01020304, 4));
  expect([...struct.bytes.subarray(4, 6)]).toEqual([5, 6]);
  expect(struct.u32(0)).toBe(0x01020304);
  expect(struct.u64(8)).toBe(2 ** 33);
  expect(struct.be16(4)).toBe(0x0506);
});
