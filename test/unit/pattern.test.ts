import { describe, expect, it } from 'vitest';

import { Pattern } from '../../dist/cli/demo/pattern.js';

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
