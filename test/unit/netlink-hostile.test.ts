import { describe, expect, it } from 'vitest';

import { Attributes, decodeAnswer, NLMSG_ERROR } from '../../dist/nic/netlink/message.js';
import {
  attribute,
  errno,
  generic,
  message,
  nest,
  NLM_F_ACK_TLVS,
  NLMSGERR_ATTR_MSG,
  number,
  text,
} from '../support/netlink.js';

const intact = Buffer.concat([
  generic([nest(6, nest(1, attribute(1, number(13, 4)))), attribute(2, text('netdev'))]),
  message({
    type: NLMSG_ERROR,
    flags: NLM_F_ACK_TLVS,
    payload: Buffer.concat([
      errno(-22),
      message({ type: 0x20 }),
      attribute(NLMSGERR_ATTR_MSG, text('no')),
    ]),
  }),
]);

// Looks at everything in it, as deep as it goes.
function visit(attributes: Attributes, depth = 0): number {
  if (depth > 8) return 0;
  let count = 0;
  for (let type = 0; type < 16; type++) {
    attributes.number(type);
    attributes.string(type);
    attributes.has(type);
  }
  for (const each of attributes.elements()) count += 1 + visit(each, depth + 1);
  return count;
}

function survives(bytes: Uint8Array): void {
  const answer = decodeAnswer(bytes, 1);
  for (const each of answer.messages) visit(each);
  expect(Number.isInteger(answer.errno)).toBe(true);
}

describe('truncated and hostile netlink input', () => {
  it('is read as far as it goes, wherever it is cut', () => {
    for (let length = 0; length < intact.length; length++) survives(intact.subarray(0, length));
    const first = decodeAnswer(intact.subarray(0, intact.length - 1), 1);
    expect(first.messages).toHaveLength(1);
    expect(first.errno).toBe(0);
  });

  it.for([0, 1, 15, 0x7fffffff, 0x80000000, 0xfffffffd, 0xffffffff])(
    'ends at a message of length %i',
    (length) => {
      const broken = Buffer.concat([generic([]), generic([]), generic([])]);
      broken.set(number(length, 4), 20);
      expect(decodeAnswer(broken, 1).messages).toHaveLength(1);
    },
  );

  it.for([0, 1, 3, 0xffff])('ends at an attribute of length %i', (length) => {
    const bytes = Buffer.concat([1, 2, 3].map((type) => attribute(type, number(type, 4))));
    bytes.set(number(length, 2), 8);
    const attributes = new Attributes(bytes);
    expect(attributes.number(1)).toBe(1);
    expect(attributes.has(2)).toBe(false);
    expect(attributes.has(3)).toBe(false);
  });

  it('ignores an error too short to hold an errno', () => {
    const answer = decodeAnswer(message({ type: NLMSG_ERROR, payload: Buffer.alloc(3) }), 1);
    expect(answer.errno).toBe(0);
  });

  it('ignores a message too short to be generic netlink', () => {
    expect(decodeAnswer(message({ type: 0x20, payload: Buffer.alloc(3) }), 1).messages).toEqual([]);
  });

  it.for([0, 0x10000, 0x7ffffffc, 0x80000000, 0xfffffffc, 0xffffffff])(
    'takes no words from an error that quotes a request of %i bytes',
    (length) => {
      const quoted = message({ type: 0x20 });
      quoted.set(number(length, 4), 0);
      const words = attribute(NLMSGERR_ATTR_MSG, text('not words'));
      const bytes = message({
        type: NLMSG_ERROR,
        flags: NLM_F_ACK_TLVS,
        payload: Buffer.concat([errno(-22), quoted, words]),
      });
      const answer = decodeAnswer(bytes, 1);
      expect(answer.errno).toBe(-22);
      expect(answer.kernelMessage).toBeUndefined();
    },
  );

  it('is survived with any one byte replaced by any extreme', () => {
    for (let at = 0; at < intact.length; at++) {
      for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
        const damaged = Buffer.from(intact);
        damaged[at] = value;
        survives(damaged);
      }
    }
  });

  it('nests only as deep as its bytes allow', () => {
    let bytes: Buffer = Buffer.alloc(0);
    while (bytes.length < 0xfff0) bytes = nest(1, bytes);
    let attributes: Attributes | undefined = new Attributes(bytes);
    let depth = 0;
    while (attributes?.has(1)) {
      attributes = attributes.nested(1);
      depth++;
    }
    expect(depth).toBe(bytes.length / 4);
  });
});
