import { describe, expect, it } from 'vitest';

import { Attributes, encodeRequest, NLM_F_ACK } from '../../dist/nic/netlink/message.js';
import type { Attribute } from '../../dist/nic/netlink/message.js';
import { NLA_F_NESTED, readNumber } from '../support/netlink.js';

const HEADERS = 20;

function encode(attributes: Attribute[]): Uint8Array {
  return encodeRequest({
    family: 0x1234,
    command: 13,
    version: 1,
    flags: NLM_F_ACK,
    sequence: 0xfedcba98,
    attributes,
  });
}

const payloadOf = (message: Uint8Array): Uint8Array => message.subarray(HEADERS);

describe('a generic netlink request', () => {
  it('starts with its length, family, flags and sequence number in the host order', () => {
    const message = encode([[1, 5]]);
    expect(readNumber(message, 0, 4)).toBe(message.length);
    expect(readNumber(message, 4, 2)).toBe(0x1234);
    expect(readNumber(message, 6, 2)).toBe(0x5);
    expect(readNumber(message, 8, 4)).toBe(0xfedcba98);
    expect(readNumber(message, 12, 4)).toBe(0);
  });

  it('goes on with the command and its version', () => {
    expect([...encode([]).subarray(16)]).toEqual([13, 1, 0, 0]);
  });

  it('carries numbers as u32', () => {
    const payload = payloadOf(encode([[3, 0xffffffff]]));
    expect(payload.length).toBe(8);
    expect(readNumber(payload, 0, 2)).toBe(8);
    expect(readNumber(payload, 2, 2)).toBe(3);
    expect(readNumber(payload, 4, 4)).toBe(0xffffffff);
  });

  it.for([
    ['', 8, 5],
    ['eth', 8, 8],
    ['eth0', 12, 9],
    ['wlan-17', 12, 12],
  ] as const)(
    'pads the text %j to %i bytes and keeps its length at %i',
    ([value, size, length]) => {
      const payload = payloadOf(encode([[2, value]]));
      expect(payload.length).toBe(size);
      expect(readNumber(payload, 0, 2)).toBe(length);
      expect(Buffer.from(payload.subarray(4)).toString()).toBe(value.padEnd(size - 4, '\0'));
    },
  );

  it('counts text in bytes, not in characters', () => {
    expect(readNumber(payloadOf(encode([[2, 'é']])), 0, 2)).toBe(4 + 2 + 1);
  });

  it('marks nested attributes as nested', () => {
    const payload = payloadOf(encode([[2, [[1, 14]]]]));
    expect(readNumber(payload, 0, 2)).toBe(12);
    expect(readNumber(payload, 2, 2)).toBe(2 | NLA_F_NESTED);
    expect(readNumber(payload, 6, 2)).toBe(1);
  });

  it('can be read back: nests, repeated attributes, and what follows padding', () => {
    const attributes = new Attributes(
      payloadOf(
        encode([
          [1, 'lo'],
          [2, [[1, 14]]],
          [
            2,
            [
              [1, 15],
              [3, [[9, 'deep']]],
            ],
          ],
          [3, 42],
        ]),
      ),
    );
    expect(attributes.string(1)).toBe('lo');
    expect(attributes.all(2).map((each) => each.number(1))).toEqual([14, 15]);
    expect(attributes.all(2)[1]?.nested(3)?.string(9)).toBe('deep');
    expect(attributes.number(3)).toBe(42);
  });

  it('may have no attributes at all', () => {
    expect(encode([]).length).toBe(HEADERS);
  });
});
