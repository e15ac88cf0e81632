// Numbers and bytes by the seed READER_SEED.

import { generator } from '../../support/generator.mjs';

export const random = generator(Number(process.env.READER_SEED ?? 1));

/** @param {number} length */
export function randomBytes(length) {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = random(256);
  return bytes;
}

/**
 * Cuts bytes into pieces.
 *
 * @param {Buffer} bytes
 * @param {number} largest
 */
export function cut(bytes, largest) {
  const pieces = [];
  for (let at = 0; at < bytes.length;) {
    const size = Math.min(1 + random(largest), bytes.length - at);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}
