/**
 * Netlink messages: encoding and decoding.
 *
 * A message is a header (`struct nlmsghdr`), for generic netlink another one
 * (`struct genlmsghdr`), and attributes (`struct nlattr`), which nest. Numbers
 * are in the host's byte order. Source: include/uapi/linux/netlink.h,
 * include/uapi/linux/genetlink.h.
 */
import { endianness } from 'node:os';

const little = endianness() === 'LE';

const MESSAGE_HEADER = 16;
const GENERIC_HEADER = 4;
const ATTRIBUTE_HEADER = 4;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_MISS_TYPE = 5;

/** What an attribute may hold when sent: a u32, text, raw bytes, or more attributes. */
export type AttributeValue = number | string | Uint8Array | readonly Attribute[];
export type Attribute = readonly [type: number, value: AttributeValue];

export interface GenericRequest {
  family: number;
  command: number;
  version: number;
  flags: number;
  sequence: number;
  attributes: readonly Attribute[];
}

const align = (length: number): number => (length + 3) & ~3;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A generic netlink request, ready to be sent. */
export function encodeRequest(request: GenericRequest): Uint8Array {
  const { family, flags, sequence, attributes } = request;
  const header = Uint8Array.of(request.command, request.version, 0, 0);
  return encodeMessage({ type: family, flags, sequence, header, attributes });
}

export interface Message {
  type: number;
  flags: number;
  sequence: number;
  /** The protocol's own header, between netlink's and the attributes. */
  header: Uint8Array;
  attributes: readonly Attribute[];
}

/** A request of any netlink protocol, ready to be sent. */
export function encodeMessage(request: Message): Uint8Array {
  const { header } = request;
  const payload = encodeAttributes(request.attributes);
  const message = new Uint8Array(MESSAGE_HEADER + header.length + payload.length);
  const view = viewOf(message);
  view.setUint32(0, message.length, little);
  view.setUint16(4, request.type, little);
  view.setUint16(6, NLM_F_REQUEST | request.flags, little);
  view.setUint32(8, request.sequence, little);
  message.set(header, MESSAGE_HEADER);
  message.set(payload, MESSAGE_HEADER + header.length);
  return message;
}

function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  return Buffer.concat(attributes.map(([type, value]) => encodeAttribute(type, value)));
}

function encodeAttribute(type: number, value: AttributeValue): Uint8Array {
  const nested = Array.isArray(value);
  const payload = encodeValue(value);
  const length = ATTRIBUTE_HEADER + payload.length;
  const attribute = new Uint8Array(align(length));
  const view = viewOf(attribute);
  view.setUint16(0, length, little);
  view.setUint16(2, nested ? type | NLA_F_NESTED : type, little);
  attribute.set(payload, ATTRIBUTE_HEADER);
  return attribute;
}

function encodeValue(value: AttributeValue): Uint8Array {
  if (typeof value === 'string') return Buffer.from(`${value}\0`);
  if (value instanceof Uint8Array) return value;
  if (typeof value !== 'number') return encodeAttributes(value);
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, little);
  return bytes;
}

/** Text up to its terminating zero. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
}

/** Attributes of a received message. */
export class Attributes {
  readonly #values: { type: number; bytes: Uint8Array }[] = [];

  /** Reads up to the first attribute that does not fit. */
  constructor(bytes: Uint8Array) {
    const view = viewOf(bytes);
    let at = 0;
    while (bytes.length - at >= ATTRIBUTE_HEADER) {
      const length = view.getUint16(at, little);
      if (length < ATTRIBUTE_HEADER || length > bytes.length - at) break;
      const type = view.getUint16(at + 2, little) & NLA_TYPE_MASK;
      this.#values.push({ type, bytes: bytes.subarray(at + ATTRIBUTE_HEADER, at + length) });
      at += align(length);
    }
  }

  has(type: number): boolean {
    return this.#find(type) !== undefined;
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes (the kernel's u8 to u64 and uint). */
  number(type: number): number | undefined {
    const bytes = this.#find(type);
    if (bytes === undefined) return undefined;
    const view = viewOf(bytes);
    switch (bytes.length) {
      case 1:
        return view.getUint8(0);
      case 2:
        return view.getUint16(0, little);
      case 4:
        return view.getUint32(0, little);
      case 8:
        return Number(view.getBigUint64(0, little));
      default:
        return undefined;
    }
  }

  string(type: number): string | undefined {
    const bytes = this.#find(type);
    return bytes === undefined ? undefined : textOf(bytes);
  }

  /** The texts of all attributes of the type. */
  strings(type: number): string[] {
    return this.#values.filter((each) => each.type === type).map((each) => textOf(each.bytes));
  }

  /** The payload as it is. */
  bytes(type: number): Uint8Array | undefined {
    return this.#find(type);
  }

  nested(type: number): Attributes | undefined {
    const bytes = this.#find(type);
    return bytes === undefined ? undefined : new Attributes(bytes);
  }

  /** All attributes of the type, each as nested attributes. */
  all(type: number): Attributes[] {
    return this.#values
      .filter((each) => each.type === type)
      .map((each) => new Attributes(each.bytes));
  }

  /** Every attribute as nested attributes: how arrays are laid out. */
  elements(): Attributes[] {
    return this.#values.map((each) => new Attributes(each.bytes));
  }

  #find(type: number): Uint8Array | undefined {
    return this.#values.find((each) => each.type === type)?.bytes;
  }
}

export interface Answer {
  /** The attributes of each message, in order. */
  messages: Attributes[];
  /** 0, or the negative errno of the kernel's refusal. */
  errno: number;
  /** The kernel's words (extended acknowledgement). */
  kernelMessage: string | undefined;
}

/**
 * Decodes what the kernel answered to the request with the given sequence number.
 *
 * @param headerSize - of the protocol's own header, in bytes; generic netlink's by default
 */
export function decodeAnswer(
  bytes: Uint8Array,
  sequence: number,
  headerSize = GENERIC_HEADER,
): Answer {
  const answer: Answer = { messages: [], errno: 0, kernelMessage: undefined };
  for (const message of splitMessages(bytes)) {
    if (viewOf(message).getUint32(8, little) === sequence)
      decodeMessage(message, headerSize, answer);
  }
  return answer;
}

/** The messages that lie one behind the other, up to the first that does not fit. */
export function splitMessages(bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const view = viewOf(bytes);
  let at = 0;
  while (bytes.length - at >= MESSAGE_HEADER) {
    const length = view.getUint32(at, little);
    if (length < MESSAGE_HEADER || length > bytes.length - at) break;
    messages.push(bytes.subarray(at, at + length));
    at += align(length);
  }
  return messages;
}

function decodeMessage(message: Uint8Array, headerSize: number, answer: Answer): void {
  const view = viewOf(message);
  const type = view.getUint16(4, little);
  const flags = view.getUint16(6, little);
  const payload = message.subarray(MESSAGE_HEADER);
  if (type === NLMSG_ERROR || type === NLMSG_DONE) {
    if (payload.length < 4) return;
    answer.errno = view.getInt32(MESSAGE_HEADER, little);
    answer.kernelMessage = acknowledgement(payload, type, flags);
  } else if (payload.length >= headerSize) {
    answer.messages.push(new Attributes(payload.subarray(headerSize)));
  }
}

// The text behind struct nlmsgerr: an errno, the request (its header alone where
// capped), then attributes.
function acknowledgement(payload: Uint8Array, type: number, flags: number): string | undefined {
  if ((flags & NLM_F_ACK_TLVS) === 0) return undefined;
  let at = 4;
  if (type === NLMSG_ERROR) {
    if (payload.length < 4 + MESSAGE_HEADER) return undefined;
    const capped = (flags & NLM_F_CAPPED) !== 0;
    at += capped ? MESSAGE_HEADER : align(viewOf(payload).getUint32(4, little));
  }
  const attributes = new Attributes(payload.subarray(at));
  const missing = attributes.number(NLMSGERR_ATTR_MISS_TYPE);
  return (
    attributes.string(NLMSGERR_ATTR_MSG) ??
    (missing === undefined ? undefined : `attribute ${missing} is missing`)
  );
}
