import { describe, expect, it } from 'vitest';

import { bytesOf, type Portion, Portions } from '../../dist/gather/portions.js';
import { generator } from '../support/random.js';

const ALL = { fragments: Infinity, bytes: Infinity };

function rangesOf(sizes: number[], before: number[] = []) {
  const all = [...before, ...sizes, 77];
  return {
    offsets: Float64Array.from(all, (_, i) => i * 1000),
    sizes: Uint32Array.from(all),
    first: before.length,
    count: sizes.length,
  };
}

function portionsOf(sizes: number[], limits = ALL, before: number[] = []): Portion[] {
  const portions = new Portions(rangesOf(sizes, before), limits);
  const all: Portion[] = [];
  for (let each = portions.next(); each !== undefined; each = portions.next()) all.push(each);
  return all;
}

describe('portions', () => {
  it('are one where all fits', () => {
    expect(portionsOf([10, 20, 30], ALL, [5])).toEqual([
      { first: 1, count: 3, skip: 0, length: 60, before: 0 },
    ]);
  });

  it('are none of nothing, and of fragments without bytes', () => {
    expect(portionsOf([])).toEqual([]);
    expect(portionsOf([0, 0])).toEqual([]);
  });

  it('cut a fragment where the bytes end', () => {
    expect(portionsOf([10, 20], { fragments: 9, bytes: 16 })).toEqual([
      { first: 0, count: 2, skip: 0, length: 16, before: 0 },
      { first: 1, count: 1, skip: 6, length: 14, before: 16 },
    ]);
  });

  it('are, together, each byte once and in order: random sizes and limits', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = generator(seed);
      const sizes = Array.from({ length: random(20) }, () => (random(4) === 0 ? 0 : random(50)));
      const limits = { fragments: 1 + random(5), bytes: 1 + random(60) };
      const seen: string[] = [];
      let before = 0;
      for (const portion of portionsOf(sizes, limits)) {
        expect(portion.before, `seed ${seed}`).toBe(before);
        expect(portion.count, `seed ${seed}`).toBeLessThanOrEqual(limits.fragments);
        expect(portion.length, `seed ${seed}`).toBeLessThanOrEqual(limits.bytes);
        expect(portion.length, `seed ${seed}`).toBeGreaterThan(0);
        before += portion.length;
        let { length, skip } = portion;
        for (let i = portion.first; i < portion.first + portion.count; i++, skip = 0) {
          for (let byte = skip; byte < sizes[i]! && length > 0; byte++, length--) {
            seen.push(`${i}.${byte}`);
          }
        }
      }
      const all = sizes.flatMap((size, i) => Array.from({ length: size }, (_, at) => `${i}.${at}`));
      expect(seen, `seed ${seed}`).toEqual(all);
      expect(bytesOf(rangesOf(sizes)), `seed ${seed}`).toBe(all.length);
    }
  });
});
