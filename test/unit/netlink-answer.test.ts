import { describe, expect, it } from 'vitest';

import { decodeAnswer, NLMSG_DONE, NLMSG_ERROR } from '../../dist/nic/netlink/message.js';
import {
  attribute,
  errno,
  generic,
  message,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSGERR_ATTR_MISS_TYPE,
  NLMSGERR_ATTR_MSG,
  number,
  text,
} from '../support/netlink.js';

const EINVAL = -22;
const EINTR = -4;

// The request that an error quotes: a header and 9 bytes, which are padded.
const request = message({ type: 0x20, sequence: 1, payload: Buffer.alloc(9, 0xaa) });
const requestHeader = request.subarray(0, 16);
const words = attribute(NLMSGERR_ATTR_MSG, text('tcp-data-split is disabled'));

function refusal(flags: number, ...parts: Uint8Array[]): Buffer {
  return message({
    type: NLMSG_ERROR,
    flags,
    payload: Buffer.concat([errno(EINVAL), ...parts]),
  });
}

describe('an answer', () => {
  it('has its messages in order and errno 0 at an acknowledgement', () => {
    const acknowledged = message({
      type: NLMSG_ERROR,
      flags: NLM_F_CAPPED,
      payload: Buffer.concat([errno(0), requestHeader]),
    });
    const answer = decodeAnswer(
      Buffer.concat([
        generic([attribute(1, number(4, 4))]),
        generic([attribute(1, number(5, 1))]),
        acknowledged,
      ]),
      1,
    );
    expect(answer.messages.map((each) => each.number(1))).toEqual([4, 5]);
    expect(answer.errno).toBe(0);
    expect(answer.kernelMessage).toBeUndefined();
  });

  it('leaves out messages that answer another request', () => {
    const answer = decodeAnswer(
      Buffer.concat([generic([attribute(1, number(4, 4))], 7), refusal(0, request)]),
      7,
    );
    expect(answer.messages).toHaveLength(1);
    expect(answer.errno).toBe(0);
  });

  it('has the errno of a refusal', () => {
    expect(decodeAnswer(refusal(0, request), 1).errno).toBe(EINVAL);
  });
});

describe("the kernel's words in a refusal", () => {
  it('stand behind the whole request where it is quoted', () => {
    const answer = decodeAnswer(refusal(NLM_F_ACK_TLVS, request, words), 1);
    expect(answer).toMatchObject({
      errno: EINVAL,
      kernelMessage: 'tcp-data-split is disabled',
    });
  });

  it("stand behind the request's header where the answer is capped", () => {
    const answer = decodeAnswer(refusal(NLM_F_ACK_TLVS | NLM_F_CAPPED, requestHeader, words), 1);
    expect(answer).toMatchObject({
      errno: EINVAL,
      kernelMessage: 'tcp-data-split is disabled',
    });
  });

  it('are not read where the kernel announced none', () => {
    const answer = decodeAnswer(refusal(NLM_F_CAPPED, requestHeader, words), 1);
    expect(answer.errno).toBe(EINVAL);
    expect(answer.kernelMessage).toBeUndefined();
  });

  it('say which attribute is missing where there is no text', () => {
    const missing = attribute(NLMSGERR_ATTR_MISS_TYPE, number(3, 4));
    const flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
    expect(decodeAnswer(refusal(flags, requestHeader, missing), 1).kernelMessage).toBe(
      'attribute 3 is missing',
    );
    expect(decodeAnswer(refusal(flags, requestHeader, missing, words), 1).kernelMessage).toBe(
      'tcp-data-split is disabled',
    );
  });
});

describe("a dump's answer", () => {
  const entries = [1, 2, 3].map((id) => generic([attribute(1, number(id, 4))]));
  const end = (error: number, flags = 0, ...parts: Uint8Array[]): Buffer =>
    message({ type: NLMSG_DONE, flags, payload: Buffer.concat([errno(error), ...parts]) });

  it('has an entry per message', () => {
    const answer = decodeAnswer(Buffer.concat([...entries, end(0)]), 1);
    expect(answer.messages.map((each) => each.number(1))).toEqual([1, 2, 3]);
    expect(answer.errno).toBe(0);
  });

  it('has the error with which the kernel ended it', () => {
    const answer = decodeAnswer(Buffer.concat([...entries, end(EINTR)]), 1);
    expect(answer.messages).toHaveLength(3);
    expect(answer.errno).toBe(EINTR);
  });

  it("has the kernel's words, which stand right behind the errno", () => {
    const answer = decodeAnswer(end(EINVAL, NLM_F_ACK_TLVS, words), 1);
    expect(answer).toMatchObject({
      errno: EINVAL,
      kernelMessage: 'tcp-data-split is disabled',
    });
  });
});
