import { describe, expect, it } from 'vitest';

import type { Batch } from '../../dist/receive/batch.js';
import { FIRST, handMade } from '../support/columns.js';
import { thrownBy } from '../support/thrown.js';

const three = () =>
  handMade({ offset: 0, size: 10 }, { offset: 100, size: 20 }, { offset: 200, size: 30 });

describe('releasing a batch', () => {
  it('gives all of it back in one call', () => {
    const { batch, lessor } = three();
    batch.release();
    expect(lessor.ranges).toEqual([{ first: FIRST, count: 3 }]);
    expect(lessor.ones).toEqual([]);
    expect(batch.released).toBe(true);
  });

  it('twice gives it back once', () => {
    const { batch, lessor } = three();
    batch.release();
    batch.release();
    expect(lessor.ranges).toHaveLength(1);
  });

  it('happens at the end of a using block', () => {
    const { batch, lessor } = three();
    {
      using leased = batch;
      expect(leased.released).toBe(false);
    }
    expect(lessor.ranges).toEqual([{ first: FIRST, count: 3 }]);
  });

  it('after some fragments gives back the others, each once', () => {
    const { batch, lessor } = three();
    batch.fragment(1).release();
    batch.release();
    expect(lessor.ranges).toEqual([]);
    expect(lessor.ones).toEqual([
      { number: FIRST + 1, last: false },
      { number: FIRST, last: false },
      { number: FIRST + 2, last: true },
    ]);
    expect(batch.released).toBe(true);
  });

  it('releases its fragments', () => {
    const { batch } = three();
    const fragment = batch.fragment(0);
    batch.release();
    expect(fragment.released).toBe(true);
    expect(thrownBy(() => fragment.offset)).toMatchObject({ code: 'ERR_DEVMEM_RELEASED' });
  });
});

describe('releasing fragments', () => {
  it('works in any order; the last one is marked', () => {
    const { batch, lessor } = three();
    const [first, second, third] = [...batch];
    third?.release();
    first?.release();
    expect(batch.released).toBe(false);
    second?.release();
    expect(batch.released).toBe(true);
    expect(lessor.ones).toEqual([
      { number: FIRST + 2, last: false },
      { number: FIRST, last: false },
      { number: FIRST + 1, last: true },
    ]);
  });

  it('twice gives a fragment back once', () => {
    const { batch, lessor } = three();
    const fragment = batch.fragment(0);
    fragment.release();
    fragment.release();
    expect(lessor.ones).toHaveLength(1);
  });

  it('counts two objects for one fragment as one lease', () => {
    const { batch, lessor } = three();
    const [one, other] = [batch.fragment(0), batch.fragment(0)];
    one.release();
    expect(other.released).toBe(true);
    other.release();
    expect(lessor.ones).toHaveLength(1);
  });

  it('after their batch does nothing', () => {
    const { batch, lessor } = three();
    const fragment = batch.fragment(0);
    batch.release();
    fragment.release();
    expect(lessor.ones).toEqual([]);
    expect(lessor.ranges).toHaveLength(1);
  });

  it('happens at the end of a using block', () => {
    const { batch, lessor } = three();
    for (const each of batch) {
      using fragment = each;
      expect(fragment.released).toBe(false);
    }
    expect(lessor.ones.map(({ number }) => number)).toEqual([FIRST, FIRST + 1, FIRST + 2]);
    expect(batch.released).toBe(true);
  });

  it('leaves the others usable', () => {
    const { batch } = three();
    batch.fragment(0).release();
    expect(batch.size(1)).toBe(20);
    expect(batch.fragment(2).offset).toBe(200);
  });

  it('hides them from forEach, which never hands out what was given back', () => {
    const { batch } = three();
    batch.fragment(1).release();
    const seen: number[] = [];
    // Whether it throws or leaves them out: their memory is not the consumer's.
    try {
      batch.forEach((offset) => seen.push(offset));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_DEVMEM_RELEASED' });
    }
    expect(seen).not.toContain(100);
  });
});

describe('releasing in a callback of forEach()', () => {
  it("the whole batch ends it with an error: what is left is nobody's to look at", () => {
    const { batch, lessor } = three();
    const seen: number[] = [];
    const error = thrownBy(() =>
      batch.forEach((offset) => {
        seen.push(offset);
        batch.release();
      }),
    );
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_RELEASED' });
    expect(seen).toEqual([0]);
    expect(lessor.ranges).toEqual([{ first: FIRST, count: 3 }]);
  });

  it('the whole batch is right with the last fragment', () => {
    const { batch } = three();
    const seen: number[] = [];
    batch.forEach((offset, _size, _id, index) => {
      seen.push(offset);
      if (index === batch.length - 1) batch.release();
    });
    expect(seen).toEqual([0, 100, 200]);
  });

  it('a fragment further on leaves that one out', () => {
    const { batch } = three();
    const seen: number[] = [];
    batch.forEach((offset) => {
      seen.push(offset);
      if (offset === 0) batch.fragment(2).release();
    });
    expect(seen).toEqual([0, 100]);
  });
});

const accessors: Record<string, (batch: Batch) => unknown> = {
  byteLength: (batch) => batch.byteLength,
  linearLength: (batch) => batch.linearLength,
  'offset()': (batch) => batch.offset(0),
  'size()': (batch) => batch.size(0),
  'dmabufId()': (batch) => batch.dmabufId(0),
  'kind()': (batch) => batch.kind(0),
  'bytes()': (batch) => batch.bytes(0),
  'fragment()': (batch) => batch.fragment(0),
  'forEach()': (batch) => batch.forEach(Boolean, Boolean),
  'runs()': (batch) => batch.runs(),
  iteration: (batch) => [...batch],
};

describe('a batch used after release', () => {
  it.for(Object.entries(accessors))('throws from %s', ([, use]) => {
    const { batch } = three();
    batch.release();
    const error = thrownBy(() => use(batch));
    expect(error).toMatchObject({ name: 'DevmemError', code: 'ERR_DEVMEM_RELEASED' });
    expect(error.message).toMatch(/Copy what you need before release/);
  });

  it('still knows its length', () => {
    const { batch } = three();
    batch.release();
    expect(batch.length).toBe(3);
  });
});

describe('a fragment used after release', () => {
  it.for(['kind', 'offset', 'size', 'dmabufId', 'bytes'] as const)('throws from %s', (property) => {
    const { batch } = three();
    const fragment = batch.fragment(1);
    fragment.release();
    expect(thrownBy(() => fragment[property])).toMatchObject({ code: 'ERR_DEVMEM_RELEASED' });
  });

  it.for(['offset', 'size', 'dmabufId', 'kind', 'bytes', 'fragment'] as const)(
    'throws from %s() of its batch too',
    (method) => {
      const { batch } = three();
      batch.fragment(1).release();
      expect(thrownBy(() => batch[method](1))).toMatchObject({ code: 'ERR_DEVMEM_RELEASED' });
    },
  );
});
