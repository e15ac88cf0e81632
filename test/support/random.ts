/** Pseudo-random numbers and bytes that a seed brings back. */

import { generator } from './generator.mjs';

export { generator };

/** As many bytes, 1 to 2000, as the seed has it; now and then with a length that fits before them. */
export function randomBytes(seed: number): Buffer {
  const random = generator(seed);
  const bytes = Buffer.from(Array.from({ length: 1 + random(2000) }, () => random(256)));
  if (seed % 2 === 0 && bytes.length > 4) bytes.writeUInt32BE(bytes.length - 4);
  return bytes;
}
