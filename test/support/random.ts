/** Pseudo-random bytes that a seed brings back. */

/** As many bytes, 1 to 2000, as the seed has it; now and then with a length that fits before them. */
export function randomBytes(seed: number): Buffer {
  let state = seed * 2_654_435_761;
  const next = (): number => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const bytes = Buffer.from(Array.from({ length: 1 + (next() % 2000) }, () => next() & 0xff));
  if (seed % 2 === 0 && bytes.length > 4) bytes.writeUInt32BE(bytes.length - 4);
  return bytes;
}
