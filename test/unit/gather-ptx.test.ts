/** The gather kernel's PTX, as it is shipped, against an oracle. */
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { PtxKernel } from '../support/ptx.js';
import { generator } from '../support/random.js';

const PIECE_BYTES = 24;
const MEMORY = 1 << 16;

const ptx = new URL('../../src/native/gather/gather.ptx', import.meta.url);
const kernel = new PtxKernel(readFileSync(ptx, 'utf8'));

interface Piece {
  source: number;
  target: number;
  size: number;
}

/** Runs the kernel over random memory, with the pieces at its start. */
function gather(pieces: Piece[], launch: { blocks: number; threads: number }, seed: number) {
  const random = generator(seed);
  const before = Buffer.from(Array.from({ length: MEMORY }, () => random(256)));
  const after = Buffer.from(before);
  const memory = new DataView(after.buffer, after.byteOffset, MEMORY);
  pieces.forEach(({ source, target, size }, i) => {
    memory.setBigUint64(i * PIECE_BYTES, BigInt(source), true);
    memory.setBigUint64(i * PIECE_BYTES + 8, BigInt(target), true);
    memory.setUint32(i * PIECE_BYTES + 16, size, true);
  });
  const expected = Buffer.from(after);
  for (const { source, target, size } of pieces) {
    before.copy(expected, target, source, source + size);
  }
  kernel.run(memory, { ...launch, parameters: [0n, BigInt(pieces.length)] });
  return { found: after, expected };
}

describe("the gather kernel's PTX", () => {
  it('copies between places that lie in any way to each other', () => {
    for (let from = 0; from < 16; from++) {
      for (let to = 0; to < 16; to++) {
        const piece = {
          source: 1024 + from,
          target: 8192 + to,
          size: 200 + ((from * 7 + to) % 40),
        };
        const { found, expected } = gather([piece], { blocks: 1, threads: 32 }, 1);
        expect(found.equals(expected), `from ${from} to ${to}`).toBe(true);
      }
    }
  });

  it('copies pieces of any number and size, with more warps than those or fewer', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = generator(seed);
      const pieces: Piece[] = [];
      let target = 32_768 + random(16);
      for (let left = random(30); left > 0; left--) {
        const largest = [0, 3, 40, 600, 2600][random(5)]!;
        const size = random(largest + 1);
        if (target + size > MEMORY) break;
        // What is read is not written.
        pieces.push({ source: 1024 + random(28_000), target, size });
        target += size + random(3);
      }
      const launch = { blocks: 1 + random(3), threads: [32, 64, 128][random(3)]! };
      const { found, expected } = gather(pieces, launch, seed);
      expect(found.equals(expected), `seed ${seed}`).toBe(true);
    }
  });
});
