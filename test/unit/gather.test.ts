/** What batches hold, in one place: which calls of engines that takes, against an oracle. */
import type { DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import type { GatherEngine, Pieces, Target } from '../../dist/gather/engine.js';
import type { Engines } from '../../dist/gather/engines.js';
import { gather } from '../../dist/gather/gather.js';
import type { Batch } from '../../dist/receive/batch.js';
import { RecordingLessor } from '../support/columns.js';
import { makeBatch } from '../support/internals.js';
import { generator } from '../support/random.js';

const MEMORY_BYTES = 500;

interface Columns {
  offsets: Float64Array;
  sizes: Uint32Array;
  sources: Uint32Array;
}

/** One fragment, as it is to be seen in the target. */
interface Expected {
  bytes: number[];
  /** Whether an engine gets it together with the one before. */
  follows: boolean;
}

/** Memories and their contents, by id. The same for all sockets. */
const CONTENTS = new Map<number, number[]>(
  [1, 2].map((id) => [id, Array.from({ length: MEMORY_BYTES }, (_, at) => (id * 89 + at) % 251)]),
);
const MEMORIES = new Map<number, DmaBuf>(
  [...CONTENTS].map(([id, bytes]) => [id, { bytes } as unknown as DmaBuf]),
);

/** Batches of up to three sockets, some of them neighbours in the columns, and what they hold. */
function randomBatches(seed: number): { batches: Batch[]; expected: Expected[] } {
  const random = generator(seed);
  const lessors = [{}, {}, { onlySource: 1 }].map((each) => new RecordingLessor(each));
  for (const { memories } of lessors) for (const each of MEMORIES) memories.set(...each);
  const slots: Columns[] = Array.from({ length: 2 }, () => ({
    offsets: new Float64Array(100),
    sizes: new Uint32Array(100),
    sources: new Uint32Array(100),
  }));
  const batches: Batch[] = [];
  const expected: Expected[] = [];
  let [slot, base, lessor] = [0, 0, 0];
  let before: { place: string; source: number } | undefined;
  for (let left = random(6); left > 0; left--) {
    if (random(4) === 0) base += random(3);
    if (random(5) === 0) slot = random(2);
    if (random(5) === 0) lessor = random(lessors.length);
    const { onlySource } = lessors[lessor]!;
    const readable = random(2) === 0;
    const { offsets, sizes, sources } = slots[slot]!;
    const length = random(6);
    let linear: number[] | undefined;
    for (let at = base; at < base + length; at++) {
      const source = readable && random(4) === 0 ? 0 : (onlySource ?? (random(6) === 0 ? 2 : 1));
      const size = random(10) === 0 ? 0 : random(20);
      if (source === 0) linear ??= [];
      const offset = source === 0 ? linear!.length : random(MEMORY_BYTES - size);
      [offsets[at], sizes[at], sources[at]] = [offset, size, source];
      const bytes =
        source === 0
          ? Array.from({ length: size }, () => random(251))
          : CONTENTS.get(source)!.slice(offset, offset + size);
      if (source === 0) linear!.push(...bytes);
      const place = (index: number) => `${slot} ${lessor} ${index}`;
      const follows = source !== 0 && before?.source === source && before.place === place(at - 1);
      expected.push({ bytes, follows });
      before = { place: place(at), source };
    }
    const bytes = linear && Uint8Array.from(linear);
    batches.push(makeBatch(lessors[lessor]!, slots[slot]!, base, 1000 + base, length, bytes));
    base += length;
  }
  return { batches, expected };
}

/** Copies as engines do, and counts the calls; `failAt`: that one fails. */
class Copier implements GatherEngine {
  calls = 0;
  readonly #failAt: number;
  readonly #late: boolean;

  constructor({ failAt = Infinity, late = false } = {}) {
    this.#failAt = failAt;
    this.#late = late;
  }

  copy(source: DmaBuf, pieces: Pieces, target: Target, at: number) {
    const { offsets, sizes, first, count } = pieces;
    const from = (source as unknown as { bytes: number[] }).bytes;
    const bytes: number[] = [];
    for (let i = first; i < first + count; i++) {
      bytes.push(...from.slice(offsets[i], offsets[i]! + sizes[i]!));
    }
    expect(pieces.bytes).toBe(bytes.length);
    return this.copyBytes(Uint8Array.from(bytes), target, at);
  }

  copyBytes(bytes: Uint8Array, target: Target, at: number) {
    if (this.calls++ === this.#failAt) throw new RangeError('no room');
    (target as Uint8Array).set(bytes, at);
    return this.#late ? Promise.resolve() : undefined;
  }

  for(): this {
    return this;
  }
}

const START = 5;

function gatherBy(copier: Copier, batches: readonly Batch[], room: number) {
  const target = new Uint8Array(START + room + 5).fill(255);
  const done = gather(batches, target, START, copier as unknown as Engines);
  return { target, done };
}

/** What the target is to hold where so many of the bytes were copied. */
function filled(bytes: readonly number[], room: number): number[] {
  const rest = new Array<number>(room - bytes.length + 5).fill(255);
  return [...new Array<number>(START).fill(255), ...bytes, ...rest];
}

describe('gathering', () => {
  it('puts all in order, an engine called once for neighbours: random batches', () => {
    let merged = 0;
    for (let seed = 1; seed <= 2000; seed++) {
      const { batches, expected } = randomBatches(seed);
      const bytes = expected.flatMap((each) => each.bytes);
      const copier = new Copier();
      const { target, done } = gatherBy(copier, batches, bytes.length);
      expect(done, `seed ${seed}`).toBeUndefined();
      expect([...target], `seed ${seed}`).toEqual(filled(bytes, bytes.length));
      const stretches = expected.filter(({ follows }) => !follows).length;
      expect(copier.calls, `seed ${seed}`).toBe(stretches);
      if (stretches < batches.filter(({ length }) => length > 0).length) merged++;
    }
    expect(merged).toBeGreaterThan(100);
  });

  it('copies nothing behind what failed: random batches', async () => {
    for (let seed = 1; seed <= 500; seed++) {
      const { batches, expected } = randomBatches(seed);
      const starts = expected.flatMap(({ follows }, index) => (follows ? [] : [index]));
      if (starts.length === 0) continue;
      const failAt = generator(seed + 7)(starts.length);
      const room = expected.reduce((sum, { bytes }) => sum + bytes.length, 0);
      const copier = new Copier({ failAt, late: seed % 2 === 0 });
      const { target, done } = gatherBy(copier, batches, room);
      await expect(done, `seed ${seed}`).rejects.toThrow('no room');
      const before = expected.slice(0, starts[failAt]).flatMap(({ bytes }) => bytes);
      expect([...target], `seed ${seed}`).toEqual(filled(before, room));
      expect(copier.calls, `seed ${seed}`).toBe(failAt + 1);
    }
  });
});
