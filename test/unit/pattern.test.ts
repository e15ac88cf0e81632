import { describe, expect, it } from 'vitest';

import { parsePattern, Pattern } from '../../dist/cli/transfer/pattern.js';

const PERIOD = 4_194_319;
const PAGE = 4096;

const pattern = new Pattern(1);

describe('the pattern', () => {
  it('is the same for the same seed', () => {
    expect(new Pattern(1).slice(12345, PAGE).equals(pattern.slice(12345, PAGE))).toBe(true);
  });

  it.for([0, 2, -1, 0x61c88647, -0x61c88647])('is another for the seed %i', (seed) => {
    expect(new Pattern(seed).slice(0, 64).equals(pattern.slice(0, 64))).toBe(false);
  });

  it('has bytes of all values, about as many of each', () => {
    const counts = new Uint32Array(256);
    for (const byte of pattern.slice(0, 2 ** 20)) counts[byte]!++;
    expect(Math.min(...counts)).toBeGreaterThan(3500);
    expect(Math.max(...counts)).toBeLessThan(4700);
  });

  it('has no two pages alike among the first 2048', () => {
    const pages = new Set<string>();
    for (let i = 0; i < 2048; i++) pages.add(pattern.slice(i * PAGE, 16).toString('hex'));
    expect(pages.size).toBe(2048);
  });

  it('goes on beyond its period', () => {
    const seam = pattern.slice(PERIOD - 10, 20);
    expect(seam.subarray(0, 10).equals(pattern.slice(PERIOD - 10, 10))).toBe(true);
    expect(seam.subarray(10).equals(pattern.slice(0, 10))).toBe(true);
    expect(pattern.slice(10 ** 12, 32).equals(pattern.slice(10 ** 12 % PERIOD, 32))).toBe(true);
  });

  it('finds itself right', () => {
    expect(pattern.mismatch(777, pattern.slice(777, 10_000))).toBe(-1);
    expect(pattern.mismatch(0, new Uint8Array(0))).toBe(-1);
  });

  it('finds the first byte that differs', () => {
    const bytes = Buffer.from(pattern.slice(777, 10_000));
    bytes[9_999]! ^= 1;
    expect(pattern.mismatch(777, bytes)).toBe(9_999);
    bytes[5_000]! ^= 0x80;
    expect(pattern.mismatch(777, bytes)).toBe(5_000);
  });

  it('finds a byte that differs in a piece longer than its period', () => {
    const bytes = Buffer.concat([pattern.slice(0, PERIOD), pattern.slice(0, 100)]);
    expect(pattern.mismatch(0, bytes)).toBe(-1);
    bytes[PERIOD + 7]! ^= 1;
    expect(pattern.mismatch(0, bytes)).toBe(PERIOD + 7);
  });

  it('finds right bytes in the wrong place', () => {
    expect(pattern.mismatch(0, pattern.slice(1, 100))).toBeGreaterThanOrEqual(0);
  });
});

describe('a sequence', () => {
  it('counts from 1 to its length less one, then from 0', () => {
    expect([...Pattern.sequence(7).slice(0, 10)]).toEqual([1, 2, 3, 4, 5, 6, 0, 1, 2, 3]);
  });

  it('goes on where its block ends', () => {
    const position = 4 * 2 ** 20 - 2;
    const expected = [0, 1, 2, 3].map((index) => (position + index + 1) % 7);
    expect([...Pattern.sequence(7).slice(position, 4)]).toEqual(expected);
  });

  it('finds a byte that is not its own', () => {
    const bytes = Buffer.from(Pattern.sequence(7).slice(100, 1000));
    bytes[500]! ^= 1;
    expect(Pattern.sequence(7).mismatch(100, bytes)).toBe(500);
  });
});

describe('a pattern as users write it', () => {
  it.for([
    ['random:5', new Pattern(5)],
    ['5', new Pattern(5)],
    ['sequence:7', Pattern.sequence(7)],
  ] as const)('%s', ([text, expected]) => {
    expect(parsePattern(text)?.slice(0, 100)).toEqual(expected.slice(0, 100));
  });

  it.for(['', 'sequence', 'sequence:0', 'sequence:256', 'random:x', 'zeros', '-1'])(
    "'%s' is none",
    (text) => {
      expect(parsePattern(text)).toBeUndefined();
    },
  );
});
