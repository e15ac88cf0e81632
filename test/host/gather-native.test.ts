/** The addon's copying of scattered pieces on the CPU, against an oracle. */
import { DmaBuf } from 'devmem-tcp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Mapping, native } from '../../dist/native.js';
import { generator } from '../support/random.js';

const PAGE = 4096;
const MEMORY = 64 * PAGE;
/** What is in no memory. */
const NOWHERE = [-1, -0.5, 0.5, NaN, Infinity, -Infinity, MEMORY + 1, 2 ** 53, 2 ** 63, 2 ** 64];
const UNTOUCHED = 255;

interface Order {
  offsets: Float64Array;
  sizes: Uint32Array;
  first: number;
  count: number;
  /** Of the target, in bytes, and where in it to begin. */
  room: number;
  at: number;
}

/** Pieces as they come, some of them neighbours; a few lead nowhere, and some targets are small. */
function randomOrder(seed: number): Order {
  const random = generator(seed);
  const first = random(4);
  const count = random(3) === 0 ? random(400) : random(8);
  const offsets = new Float64Array(first + count + random(3)).fill(NaN);
  const sizes = new Uint32Array(offsets.length).fill(2 ** 32 - 1);
  let next = 0;
  let bytes = 0;
  for (let index = first; index < first + count; index++) {
    const size = random(8) === 0 ? 0 : random(random(4) === 0 ? 3000 : 100);
    const follows = random(3) === 0 && next + size <= MEMORY;
    const offset = follows ? next : random(MEMORY - size + 1);
    [offsets[index], sizes[index]] = [offset, size];
    next = offset + size;
    bytes += size;
  }
  const wrong = first + random(count);
  if (count > 0 && random(3) === 0) offsets[wrong] = NOWHERE[random(NOWHERE.length)]!;
  else if (count > 0 && random(5) === 0) sizes[wrong] = MEMORY - offsets[wrong]! + 1;
  const at = random(20);
  const room = Math.max(at, at + bytes + (random(4) === 0 ? -1 - random(50) : random(50)));
  return { offsets, sizes, first, count, room, at };
}

/** What is to be copied, and whether that is all. */
function expectedOf({ offsets, sizes, first, count, room, at }: Order, memory: Uint8Array) {
  const bytes: number[] = [];
  for (let index = first; index < first + count; index++) {
    const [offset, size] = [offsets[index]!, sizes[index]!];
    const inside = Number.isInteger(offset) && offset >= 0 && offset + size <= MEMORY;
    if (!inside || at + bytes.length + size > room) return { bytes, all: false };
    bytes.push(...memory.subarray(offset, offset + size));
  }
  return { bytes, all: true };
}

function expectBytes(target: Uint8Array, at: number, bytes: readonly number[], seed: number): void {
  const expected = new Uint8Array(target.length).fill(UNTOUCHED);
  expected.set(bytes, at);
  expect(Buffer.compare(target, expected), `seed ${seed}`).toBe(0);
}

/** As the engines have it. */
const mappingOf = (memory: DmaBuf): Mapping =>
  (memory as unknown as { mapping(): Mapping }).mapping();

describe('gathering on the CPU', () => {
  let memory: DmaBuf;
  let contents: Uint8Array;

  beforeAll(async () => {
    memory = await DmaBuf.allocate({ type: 'host', size: MEMORY });
    contents = memory.map();
    const random = generator(1);
    for (let index = 0; index < MEMORY; index++) contents[index] = random(UNTOUCHED);
    return () => memory.close();
  });

  function gather(order: Order, target: Mapping | Uint8Array): boolean {
    const { offsets, sizes, first, count, at } = order;
    return native().gatherHost(offsets, sizes, first, count, mappingOf(memory), target, at);
  }

  it('puts the pieces behind each other, up to one that is not inside: random orders', () => {
    let parts = 0;
    for (let seed = 1; seed <= 1500; seed++) {
      const order = randomOrder(seed);
      const { bytes, all } = expectedOf(order, contents);
      const target = new Uint8Array(order.room).fill(UNTOUCHED);
      expect(gather(order, target), `seed ${seed}`).toBe(all);
      expectBytes(target, order.at, bytes, seed);
      if (!all && bytes.length > 0) parts++;
    }
    expect(parts).toBeGreaterThan(100);
  });

  describe('into memory', () => {
    const ROOM = 2 ** 20;
    let target: DmaBuf;
    let view: Uint8Array;

    beforeAll(async () => {
      target = await DmaBuf.allocate({ type: 'host', size: ROOM });
      view = target.map();
    });

    afterAll(() => target.close());

    /** The order, with a target whose end it may reach. */
    const atEnd = (order: Order): Order => ({
      ...order,
      at: ROOM - order.room + order.at,
      room: ROOM,
    });

    it('copies as much at once: random orders', () => {
      for (let seed = 2001; seed <= 2300; seed++) {
        const order = atEnd(randomOrder(seed));
        const { bytes, all } = expectedOf(order, contents);
        view.fill(UNTOUCHED);
        expect(gather(order, mappingOf(target)), `seed ${seed}`).toBe(all);
        expectBytes(view, order.at, bytes, seed);
      }
    });

    it('copies all on another thread, or nothing: random orders', async () => {
      for (let seed = 3001; seed <= 3300; seed++) {
        const order = atEnd(randomOrder(seed));
        const { offsets, sizes, first, count, at } = order;
        const { bytes, all } = expectedOf(order, contents);
        view.fill(UNTOUCHED);
        const done = native().gatherHostAsync(
          ...([offsets, sizes, first, count] as const),
          ...([mappingOf(memory), mappingOf(target), at] as const),
        );
        expect(await done, `seed ${seed}`).toBe(all);
        expectBytes(view, at, all ? bytes : [], seed);
      }
    });
  });

  it('copies within one memory, where source and target overlap by less than a piece', () => {
    const before = Uint8Array.from(contents);
    const order = {
      offsets: Float64Array.of(100, 5 * PAGE),
      sizes: Uint32Array.of(1000, 50),
      first: 0,
      count: 2,
      room: MEMORY,
      at: 300,
    };
    expect(gather(order, mappingOf(memory))).toBe(true);
    expect(Buffer.compare(contents.subarray(300, 1300), before.subarray(100, 1100))).toBe(0);
    contents.set(before);
  });
});
