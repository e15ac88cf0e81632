/** Netlink messages as the kernel sends them, made by hand. */
import { endianness } from 'node:os';

const little = endianness() === 'LE';

export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
export const NLA_F_NESTED = 0x8000;
export const NLA_F_NET_BYTEORDER = 0x4000;
export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_MISS_TYPE = 5;

const pad = (bytes: Uint8Array): Buffer => {
  const padded = Buffer.alloc((bytes.length + 3) & ~3);
  padded.set(bytes);
  return padded;
};

/** An unsigned number of 1, 2, 4 or 8 bytes in the host's order. */
export function number(value: number | bigint, size: 1 | 2 | 4 | 8): Buffer {
  const bytes = Buffer.alloc(size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  if (size === 1) view.setUint8(0, Number(value));
  else if (size === 2) view.setUint16(0, Number(value), little);
  else if (size === 4) view.setUint32(0, Number(value), little);
  else view.setBigUint64(0, BigInt(value), little);
  return bytes;
}

/** Reads back a number of the host's order. */
export function readNumber(bytes: Uint8Array, at: number, size: 2 | 4): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return size === 2 ? view.getUint16(at, little) : view.getUint32(at, little);
}

export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

/** struct nlattr and its payload, padded to 4 bytes. */
export function attribute(type: number, payload: Uint8Array): Buffer {
  return Buffer.concat([number(4 + payload.length, 2), number(type, 2), pad(payload)]);
}

export function nest(type: number, ...attributes: Uint8Array[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

export interface MessageParts {
  type: number;
  flags?: number;
  sequence?: number;
  payload?: Uint8Array;
}

/** struct nlmsghdr and its payload, padded to 4 bytes. */
export function message({ type, flags = 0, sequence = 1, payload }: MessageParts): Buffer {
  const body = payload ?? Buffer.alloc(0);
  return Buffer.concat([
    number(16 + body.length, 4),
    number(type, 2),
    number(flags, 2),
    number(sequence, 4),
    number(0, 4),
    pad(body),
  ]);
}

/** A generic netlink answer: struct genlmsghdr and attributes. */
export function generic(attributes: Uint8Array[], sequence = 1): Buffer {
  const payload = Buffer.concat([Buffer.from([1, 1, 0, 0]), ...attributes]);
  return message({ type: 0x20, sequence, payload });
}

/** A signed errno as struct nlmsgerr and a dump's end carry it. */
export function errno(value: number): Buffer {
  return number(value >>> 0, 4);
}
