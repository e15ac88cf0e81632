import { describe, expect, it } from 'vitest';

import { Attributes } from '../../dist/nic/netlink/message.js';
import {
  attribute,
  nest,
  NLA_F_NESTED,
  NLA_F_NET_BYTEORDER,
  number,
  text,
} from '../support/netlink.js';

const attributesOf = (...parts: Uint8Array[]): Attributes => new Attributes(Buffer.concat(parts));

describe('attributes of a received message', () => {
  it.for([
    [1, 0xfe],
    [2, 0xfedc],
    [4, 0xfedcba98],
    [8, Number.MAX_SAFE_INTEGER],
  ] as const)('hold unsigned numbers of %i bytes', ([size, value]) => {
    expect(attributesOf(attribute(1, number(value, size))).number(1)).toBe(value);
  });

  it('give no number for a size that no number has', () => {
    expect(attributesOf(attribute(1, Buffer.from([1, 2, 3]))).number(1)).toBeUndefined();
    expect(attributesOf(attribute(1, Buffer.alloc(0))).number(1)).toBeUndefined();
  });

  it('are found behind the padding of the one before', () => {
    const attributes = attributesOf(
      attribute(1, number(1, 1)),
      attribute(2, number(2, 2)),
      attribute(3, number(3, 4)),
    );
    expect([1, 2, 3].map((type) => attributes.number(type))).toEqual([1, 2, 3]);
  });

  it('hold text up to its terminating zero', () => {
    expect(attributesOf(attribute(4, text('eth0'))).string(4)).toBe('eth0');
    expect(attributesOf(attribute(4, Buffer.from('a\0rest'))).string(4)).toBe('a');
  });

  it('hold text that is not terminated', () => {
    expect(attributesOf(attribute(4, Buffer.from('eth0'))).string(4)).toBe('eth0');
  });

  it('are known by their type without the flag bits', () => {
    const attributes = attributesOf(
      attribute(5 | NLA_F_NET_BYTEORDER, number(1, 1)),
      attribute(6 | NLA_F_NESTED, attribute(1, number(9, 4))),
    );
    expect(attributes.has(5)).toBe(true);
    expect(attributes.nested(6)?.number(1)).toBe(9);
  });

  it('tell whether they are there, even when empty', () => {
    const attributes = attributesOf(attribute(1, Buffer.alloc(0)));
    expect(attributes.has(1)).toBe(true);
    expect(attributes.has(2)).toBe(false);
  });

  it('give undefined for what is not there', () => {
    const attributes = attributesOf();
    expect(attributes.number(1)).toBeUndefined();
    expect(attributes.string(1)).toBeUndefined();
    expect(attributes.nested(1)).toBeUndefined();
    expect(attributes.all(1)).toEqual([]);
    expect(attributes.elements()).toEqual([]);
  });

  it('nest', () => {
    const attributes = attributesOf(nest(1, nest(2, nest(3, attribute(4, text('deep'))))));
    expect(attributes.nested(1)?.nested(2)?.nested(3)?.string(4)).toBe('deep');
  });

  it('repeat: all() has each, in order', () => {
    const attributes = attributesOf(
      nest(2, attribute(1, number(14, 4))),
      attribute(9, number(0, 4)),
      nest(2, attribute(1, number(15, 4))),
    );
    expect(attributes.all(2).map((each) => each.number(1))).toEqual([14, 15]);
  });

  it('form arrays whose elements are typed by their index', () => {
    const operations = nest(
      6,
      nest(1, attribute(1, number(10, 4))),
      nest(2, attribute(1, number(13, 4))),
    );
    const elements = attributesOf(operations).nested(6)?.elements() ?? [];
    expect(elements.map((each) => each.number(1))).toEqual([10, 13]);
  });
});
