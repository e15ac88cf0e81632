/** IP addresses as bytes in network order, and back. */
import { isIPv4 } from 'node:net';

/** @param address - valid, without a scope */
export function addressBytes(address: string): Uint8Array {
  return isIPv4(address) ? Uint8Array.from(address.split('.'), Number) : ipv6Bytes(address);
}

function ipv6Bytes(address: string): Uint8Array {
  const [head = '', tail] = address.split('::');
  const before = groups(head);
  const after = groups(tail ?? '');
  const bytes = new Uint8Array(16);
  bytes.set(before);
  bytes.set(after, bytes.length - after.length);
  return bytes;
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return [...addressBytes(group)];
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** The IPv4 address that an IPv6 one maps (RFC 4291, 2.5.5.2); any other as it is. */
export function unmapped(bytes: Uint8Array): Uint8Array {
  const maps = bytes.length === 16 && MAPPED.every((byte, at) => bytes[at] === byte);
  return maps ? bytes.subarray(MAPPED.length) : bytes;
}

/** The address of 4 or 16 bytes, in its canonical form. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, at) =>
    ((bytes[2 * at]! << 8) | bytes[2 * at + 1]!).toString(16),
  );
  // The URL parser knows how to write an IPv6 address (RFC 5952).
  return new URL(`http://[${words.join(':')}]/`).hostname.slice(1, -1);
}
