import { describe, expect, it } from 'vitest';

import { handMade } from '../support/columns.js';

describe('the runs of a batch', () => {
  it('merge neighbours in memory', () => {
    const { batch } = handMade(
      { offset: 0, size: 4096 },
      { offset: 4096, size: 4096 },
      { offset: 8192, size: 100 },
    );
    expect(batch.runs()).toEqual([{ offset: 0, size: 8292, dmabufId: 7 }]);
  });

  it('keep apart what has a gap between', () => {
    const { batch } = handMade({ offset: 0, size: 4095 }, { offset: 4096, size: 4096 });
    expect(batch.runs()).toEqual([
      { offset: 0, size: 4095, dmabufId: 7 },
      { offset: 4096, size: 4096, dmabufId: 7 },
    ]);
  });

  it('keep apart what overlaps', () => {
    const { batch } = handMade({ offset: 0, size: 4096 }, { offset: 4095, size: 4096 });
    expect(batch.runs()).toHaveLength(2);
  });

  it('keep the order of the stream: a neighbour that comes first in memory is not merged', () => {
    const { batch } = handMade({ offset: 4096, size: 4096 }, { offset: 0, size: 4096 });
    expect(batch.runs().map((run) => run.offset)).toEqual([4096, 0]);
  });

  it('keep apart neighbours of different dma-bufs', () => {
    const { batch } = handMade(
      { offset: 0, size: 4096, dmabufId: 1 },
      { offset: 4096, size: 4096, dmabufId: 2 },
      { offset: 8192, size: 4096, dmabufId: 2 },
    );
    expect(batch.runs()).toEqual([
      { offset: 0, size: 4096, dmabufId: 1 },
      { offset: 4096, size: 8192, dmabufId: 2 },
    ]);
  });

  it('start anew after a piece from elsewhere', () => {
    const { batch } = handMade(
      { offset: 0, size: 10 },
      { offset: 500, size: 10 },
      { offset: 10, size: 10 },
    );
    expect(batch.runs()).toHaveLength(3);
  });

  it('tell of linear bytes, neighbours merged', () => {
    const { batch } = handMade({ offset: 0, size: 10 }, { bytes: 'ab' }, { bytes: 'c' });
    expect(batch.runs()).toEqual([
      { offset: 0, size: 10, dmabufId: 7 },
      { size: 3, dmabufId: 0, bytes: Buffer.from('abc') },
    ]);
  });

  it('end where the other kind begins, and begin anew after it', () => {
    const { batch } = handMade({ bytes: 'a' }, { offset: 0, size: 10 }, { bytes: 'b' });
    expect(batch.runs().map(({ size }) => size)).toEqual([1, 10, 1]);
  });
});
