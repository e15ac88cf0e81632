import type { DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { handMade } from '../support/columns.js';
import { thrownBy } from '../support/thrown.js';

const mixed = () =>
  handMade(
    { offset: 4096, size: 100 },
    { bytes: 'head' },
    { offset: 2 ** 40, size: 200, dmabufId: 9 },
    { bytes: 'tail!' },
  );

describe('a batch', () => {
  it('knows its length and its bytes, linear ones apart', () => {
    const { batch } = mixed();
    expect(batch.length).toBe(4);
    expect(batch.byteLength).toBe(100 + 4 + 200 + 5);
    expect(batch.linearLength).toBe(9);
  });

  it('tells of each fragment where it lies, how large it is and of which kind', () => {
    const { batch } = mixed();
    const indices = [0, 1, 2, 3];
    expect(indices.map((i) => batch.kind(i))).toEqual(['device', 'linear', 'device', 'linear']);
    expect(indices.map((i) => batch.size(i))).toEqual([100, 4, 200, 5]);
    expect(indices.map((i) => batch.dmabufId(i))).toEqual([7, 0, 9, 0]);
    expect(batch.offset(0)).toBe(4096);
    expect(batch.offset(2)).toBe(2 ** 40);
  });

  it('knows the memory of each device fragment', () => {
    const { batch, lessor } = mixed();
    const memories = [7, 9].map((id) => ({ id }) as unknown as DmaBuf);
    lessor.memories.set(7, memories[0]!).set(9, memories[1]!);
    expect([0, 1, 2, 3].map((i) => batch.memory(i))).toEqual([
      memories[0],
      undefined,
      memories[1],
      undefined,
    ]);
    expect([...batch].map((fragment) => fragment.memory)).toEqual([
      memories[0],
      undefined,
      memories[1],
      undefined,
    ]);
    batch.release();
    expect(thrownBy(() => batch.memory(0))).toMatchObject({ code: 'ERR_DEVMEM_RELEASED' });
  });

  it('has the bytes of linear fragments only', () => {
    const { batch } = mixed();
    expect(batch.bytes(0)).toBeUndefined();
    expect(String(batch.bytes(1))).toBe('head');
    expect(String(batch.bytes(3))).toBe('tail!');
  });

  it.for([-1, 4, 1.5, NaN])('has no fragment %d', (index) => {
    const { batch } = mixed();
    expect(thrownBy(() => batch.size(index))).toBeInstanceOf(RangeError);
    expect(thrownBy(() => batch.fragment(index))).toBeInstanceOf(RangeError);
  });
});

describe('forEach of a batch', () => {
  it('calls back in stream order, device and linear fragments to one callback each', () => {
    const { batch } = mixed();
    const seen: unknown[] = [];
    batch.forEach(
      (offset, size, dmabufId, index) => seen.push({ offset, size, dmabufId, index }),
      (bytes, index) => seen.push({ bytes: String(bytes), index }),
    );
    expect(seen).toEqual([
      { offset: 4096, size: 100, dmabufId: 7, index: 0 },
      { bytes: 'head', index: 1 },
      { offset: 2 ** 40, size: 200, dmabufId: 9, index: 2 },
      { bytes: 'tail!', index: 3 },
    ]);
  });

  it('throws before any call where linear bytes have no callback', () => {
    const { batch } = mixed();
    const seen: number[] = [];
    const error = thrownBy(() => {
      batch.forEach((offset) => seen.push(offset));
    });
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_LINEAR_FRAGMENT' });
    expect(error.message).toContain('9 bytes');
    expect(seen).toEqual([]);
  });

  it('needs no second callback where all is in device memory', () => {
    const { batch } = handMade({ offset: 0, size: 1 }, { offset: 8, size: 2 });
    const sizes: number[] = [];
    batch.forEach((_offset, size) => sizes.push(size));
    expect(sizes).toEqual([1, 2]);
  });

  it('passes an exception of a callback on and leaves the batch usable', () => {
    const { batch } = mixed();
    const thrown = new Error('consumer');
    expect(
      thrownBy(() => {
        batch.forEach(() => {
          throw thrown;
        }, Boolean);
      }),
    ).toBe(thrown);
    expect(batch.released).toBe(false);
    expect(batch.size(0)).toBe(100);
  });
});

describe('the fragments of a batch', () => {
  it('are iterated in stream order', () => {
    const { batch } = mixed();
    expect([...batch].map(({ kind, size, dmabufId }) => [kind, size, dmabufId])).toEqual([
      ['device', 100, 7],
      ['linear', 4, 0],
      ['device', 200, 9],
      ['linear', 5, 0],
    ]);
  });

  it('can be had by their index', () => {
    const { batch } = mixed();
    expect(batch.fragment(2).offset).toBe(2 ** 40);
    expect(String(batch.fragment(3).bytes)).toBe('tail!');
  });

  it('have bytes that outlive their lease, where they are linear', () => {
    const { batch } = handMade({ bytes: 'abc' });
    const fragment = batch.fragment(0);
    const bytes = fragment.bytes;
    fragment.release();
    expect(String(bytes)).toBe('abc');
  });
});
