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
import { generator } from '../support/random.js';

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

describe('where a rule that somebody else made sends packets', () => {
  const FLOW_EXT = 0x80000000;
  const FLOW_RSS = 0x20000000;
  const answer = (cookie: bigint, flags = 0, context = 0): Struct => {
    const struct = encodeInsert(five, 0).setU32(16, (1 | flags) >>> 0);
    struct.setU32(168, Number(cookie & 0xffffffffn)).setU32(172, Number(cookie >> 32n));
    return struct.setU32(184, context);
  };

  it.each([
    ['a queue', answer(7n), { queue: 7 }],
    ['the last queue that fits', answer(0xffffffffn), { queue: 0xffffffff }],
    ['nowhere', answer(2n ** 64n - 1n), 'drop'],
    ['nowhere, not to a context', answer(2n ** 64n - 1n, FLOW_RSS, 1), 'drop'],
    ['to the machine that sleeps', answer(2n ** 64n - 2n), 'wake'],
    ['the first virtual function', answer(1n << 32n), { virtualFunction: 0, queue: 0 }],
    ['a virtual function', answer((3n << 32n) | 5n), { virtualFunction: 2, queue: 5 }],
    ['the last of them', answer((0xffn << 32n) | 1n), { virtualFunction: 254, queue: 1 }],
    ['a context', answer(0n, FLOW_RSS, 4), { context: 4 }],
    ['a context, so many queues on', answer(2n, FLOW_RSS, 4), { context: 4, offset: 2 }],
    ['a queue, with an extension that has nothing in it', answer(3n, FLOW_EXT), { queue: 3 }],
  ] as const)('is told: %s', (_, struct, target) => {
    expect(decodeRule(struct)).toEqual({ match: five.match, target });
  });

  it('is ours only where it is ours', () => {
    expect(sameRule(decodeRule(answer(3n))!, five)).toBe(true);
    for (const cookie of [2n ** 64n - 1n, 2n ** 64n - 2n, (1n << 32n) | 3n, 4n]) {
      expect(sameRule(decodeRule(answer(cookie))!, five), String(cookie)).toBe(false);
    }
    const spread = { ...five, target: { context: 4 } };
    expect(sameRule(decodeRule(answer(0n, FLOW_RSS, 4))!, spread)).toBe(true);
    expect(sameRule(decodeRule(answer(1n, FLOW_RSS, 4))!, spread)).toBe(false);
  });

  it('is read whatever is there, and a queue is one', () => {
    for (let seed = 1; seed <= 3000; seed++) {
      const random = generator(seed);
      const word = (): bigint => BigInt(random(4) === 0 ? 0xffffffff : random(3) * random(2 ** 31));
      const cookie = (word() << 32n) | word();
      const target = decodeRule(answer(cookie, random(2) * FLOW_RSS, random(5)))!.target;
      const numbers = typeof target === 'string' ? [] : Object.values(target);
      expect(
        numbers.every((each) => each >= 0 && each < 2 ** 32),
        `seed ${seed}`,
      ).toBe(true);
    }
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

  it('tell the table’s size where it is more than there are rules', () => {
    const listing = listCommand(2).setU32(188, 7).setU32(192, 9);
    expect(decodeLocations(listing.setU64(8, 1024)).size).toBe(1024);
    expect(decodeLocations(listing.setU64(8, 2)).size).toBe(0);
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
