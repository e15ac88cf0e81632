/** Where a stream stands, against a list of bytes: whatever is asked for, and in whichever order. */
import { describe, expect, it } from 'vitest';

import type { Batch } from '../../dist/receive/batch.js';
import { Cursor } from '../../dist/receive/cursor.js';
import { CONNECTION_STAYS } from '../../dist/uncloneable.js';
import { makeBatch } from '../support/internals.js';
import { generator } from '../support/random.js';

const RUNS = 2000;
const CAPACITY = 4096;

/** Hands out batches of which every byte's offset is its place in the stream. */
class Feed {
  readonly cursor: Cursor;
  /** Fragments not given back, by their numbers. */
  readonly held = new Set<number>();
  finished = 0;
  sent = 0;
  readonly #columns = {
    offsets: new Float64Array(CAPACITY),
    sizes: new Uint32Array(CAPACITY),
    sources: new Uint32Array(CAPACITY).fill(1),
  };
  #used = 0;

  constructor() {
    this.cursor = new Cursor({
      wanted: () => {},
      handedOut: () => {},
      finished: () => this.finished++,
    });
  }

  send(sizes: number[]): void {
    const first = this.#used;
    for (const size of sizes) {
      this.#columns.offsets[this.#used] = this.sent;
      this.#columns.sizes[this.#used] = size;
      this.held.add(this.#used++);
      this.sent += size;
    }
    const lessor = {
      uncloneable: CONNECTION_STAYS,
      releaseRange: (start: number, count: number) => {
        for (let number = start; number < start + count; number++) this.#release(number);
      },
      releaseOne: (number: number) => this.#release(number),
      memoryOf: () => undefined,
    };
    this.cursor.push(makeBatch(lessor, this.#columns, first, first, sizes.length, undefined));
  }

  #release(number: number): void {
    if (!this.held.delete(number)) throw new Error(`fragment ${number} was given back twice`);
  }
}

/** [start, end) of the stream. */
type Stretch = [start: number, end: number];

// Bytes that are put back lie here, at their place in the stream.
const streamBytes = new Uint8Array(CAPACITY * 20);

function stretches(batches: Batch[]): Stretch[] {
  const list: Stretch[] = [];
  for (const batch of batches) {
    batch.forEach(
      (offset, size) => list.push([offset, offset + size]),
      ({ byteOffset, length }) => list.push([byteOffset, byteOffset + length]),
    );
  }
  return list;
}

/** Takes bytes as they come, and puts them back where it is given up. */
class Copying {
  readonly seen: Stretch[] = [];
  readonly #cursor: Cursor;
  readonly #bytes: number;
  #taken = 0;

  constructor(cursor: Cursor, bytes: number) {
    this.#cursor = cursor;
    this.#bytes = bytes;
  }

  readonly take = (): Stretch[] | undefined => {
    for (let left; (left = this.#bytes - this.#taken) > 0;) {
      const batch = this.#cursor.takeUpTo(left);
      if (batch === undefined) return undefined;
      this.seen.push(...stretches([batch]));
      this.#taken += batch.byteLength;
      batch.release();
    }
    return this.seen;
  };

  readonly giveUp = (): void => {
    const start = this.seen[0]?.[0] ?? 0;
    this.#cursor.prepend(streamBytes.subarray(start, start + this.#taken));
  };
}

/** What is there, looked at without taking it, has to be all there is, and in order. */
function lookAtAll(cursor: Cursor): void {
  const seen: Stretch[] = [];
  cursor.look((batch) => {
    seen.push(...stretches([batch]));
    return true;
  });
  let at = seen[0]?.[0] ?? 0;
  const start = at;
  for (const [from, to] of seen) {
    if (from !== at) throw new Error(`${from} follows ${at}`);
    at = to;
  }
  if (at - start !== cursor.bytesAhead) throw new Error(`${at - start} bytes are shown`);
}

const GIVEN_UP = new Error('given up');

describe('a cursor', () => {
  it('hands out each byte once, in the order of the calls, whatever they ask for', async () => {
    const base = Number(process.env.DEVMEM_SEED ?? 1);
    for (let seed = base; seed < base + RUNS; seed++) {
      const random = generator(seed);
      const feed = new Feed();
      const { cursor } = feed;
      const answers: Promise<void>[] = [];
      const seen: Stretch[] = [];
      const releases: (() => void)[] = [];
      const cancels: (() => void)[] = [];
      const pass = (list: Stretch[], release: () => void): void => {
        seen.push(...list);
        if (random(2) === 0) release();
        else releases.splice(random(releases.length + 1), 0, release);
      };
      const ask: (() => Promise<void>)[] = [
        async () => {
          const fragment = await cursor.request(() => cursor.takeFragment(), undefined);
          if (fragment === undefined) return;
          const start = fragment.offset ?? fragment.bytes.byteOffset;
          pass([[start, start + fragment.size]], () => fragment.release());
        },
        async () => {
          const batch = await cursor.request(() => cursor.takeBatch(), undefined);
          if (batch !== undefined) pass(stretches([batch]), () => batch.release());
        },
        async () => {
          const bytes = 1 + random(40);
          const batches = await cursor.request(() => cursor.takeBytes(bytes), []);
          const list = stretches(batches);
          if (list.length > 0) {
            expect(list.reduce((sum, [start, end]) => sum + end - start, 0)).toBe(bytes);
          }
          for (const batch of batches) pass(stretches([batch]), () => batch.release());
        },
        async () => {
          const copying = new Copying(cursor, 1 + random(60));
          if (random(2) === 0) cancels.push(() => cursor.cancel(copying.take, GIVEN_UP));
          try {
            seen.push(...(await cursor.request(copying.take, [], copying)));
          } catch (error) {
            if (error !== GIVEN_UP) throw error;
          }
        },
        async () => {
          const bytes = 1 + random(1000);
          const take = () => cursor.takeBytes(bytes);
          const waits = cursor.request(take, []);
          cursor.cancel(take, GIVEN_UP);
          try {
            for (const batch of await waits) pass(stretches([batch]), () => batch.release());
          } catch (error) {
            if (error !== GIVEN_UP) throw error;
          }
        },
      ];
      for (let step = 0; step < 30; step++) {
        if (random(2) === 0) feed.send(Array.from({ length: 1 + random(5) }, () => 1 + random(20)));
        else answers.push(ask[random(ask.length)]!());
        if (random(4) === 0) lookAtAll(cursor);
        if (random(6) === 0) cancels.splice(random(cancels.length + 1), 1)[0]?.();
        if (random(4) === 0) await Promise.resolve();
      }
      expect(
        cursor.waiting && cursor.bytesAhead > 40,
        `seed ${seed}: waits for what is there`,
      ).toBe(false);
      cursor.end(undefined);
      await Promise.all(answers);
      expect(cursor.bytesAhead, `seed ${seed}: bytesAhead`).toBe(
        feed.sent - (seen.at(-1)?.[1] ?? 0),
      );
      const left = cursor.bytesAhead;
      for (const batch of left > 0 ? cursor.takeBytes(left)! : []) {
        seen.push(...stretches([batch]));
        batch.release();
      }

      let at = 0;
      for (const [start, end] of seen) {
        expect(start, `seed ${seed}: out of turn`).toBe(at);
        at = end;
      }
      expect(at, `seed ${seed}: bytes are missing`).toBe(feed.sent);
      for (const release of releases) release();
      expect([...feed.held], `seed ${seed}: held`).toEqual([]);
    }
  });

  it('gives a fragment back once all that share it did', async () => {
    const feed = new Feed();
    feed.send([10, 20]);
    const take = (bytes: number) => feed.cursor.takeBytes(bytes)!;
    const parts = [take(3), take(4), take(13), take(10)];
    expect(parts.map(stretches)).toEqual([
      [[0, 3]],
      [[3, 7]],
      [
        [7, 10],
        [10, 20],
      ],
      [[20, 30]],
    ]);
    const release = (index: number): void => parts[index]!.forEach((batch) => batch.release());
    release(1);
    release(0);
    release(0);
    expect([...feed.held]).toEqual([0, 1]);
    release(2);
    expect([...feed.held]).toEqual([1]);
    release(3);
    expect([...feed.held]).toEqual([]);
  });

  it('answers whoever waits for more than comes with the end', async () => {
    const feed = new Feed();
    const waits = feed.cursor.request<unknown>(() => feed.cursor.takeBytes(31), 'the end');
    feed.send([10, 20]);
    feed.cursor.end(undefined);
    expect(await waits).toBe('the end');
    expect(feed.cursor.bytesAhead).toBe(30);
  });

  it('tells an error to the first who asks beyond the last byte, and to nobody else', async () => {
    const feed = new Feed();
    feed.send([10]);
    feed.cursor.end(new Error('reset'));
    const ask = () => feed.cursor.request(() => feed.cursor.takeFragment(), undefined);
    expect((await ask())?.size).toBe(10);
    await expect(ask()).rejects.toThrow('reset');
    expect(await ask()).toBeUndefined();
    expect(feed.finished).toBe(0);
  });

  it('says once that the end was taken', async () => {
    const feed = new Feed();
    feed.send([10]);
    feed.cursor.end(undefined);
    const ask = () => feed.cursor.request(() => feed.cursor.takeBatch(), undefined);
    await ask();
    expect(feed.finished).toBe(0);
    await ask();
    await ask();
    expect(feed.finished).toBe(1);
  });

  it('that is closed gives back what was not taken, and keeps what was', async () => {
    const feed = new Feed();
    feed.send([1, 1, 1]);
    feed.send([1, 1]);
    const kept = feed.cursor.takeFragment()!;
    const waits = feed.cursor.request<unknown>(() => feed.cursor.takeBytes(100), 'nothing');
    feed.cursor.close();
    expect(await waits).toBe('nothing');
    expect([...feed.held]).toEqual([0]);
    expect(kept.size).toBe(1);
    kept.release();
    expect([...feed.held]).toEqual([]);
  });
});
