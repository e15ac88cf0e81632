/** Pseudo-random numbers and bytes that a seed brings back. */

/** Numbers from 0 on and below the given one. */
export function generator(seed: number): (below: number) => number {
  let state = Math.imul(seed, 2_654_435_761) || 1;
  return (below) => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** As many bytes, 1 to 2000, as the seed has it; now and then with a length that fits before them. */
export function randomBytes(seed: number): Buffer {
  const random = generator(seed);
  const bytes = Buffer.from(Array.from({ length: 1 + random(2000) }, () => random(256)));
  if (seed % 2 === 0 && bytes.length > 4) bytes.writeUInt32BE(bytes.length - 4);
  return bytes;
}
