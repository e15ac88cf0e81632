import { describe, expect, it } from 'vitest';

import { handMade } from '../support/columns.js';
import { thrownBy } from '../support/thrown.js';

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

  it('do not exist for linear bytes', () => {
    const { batch } = handMade({ offset: 0, size: 10 }, { bytes: 'x' });
    expect(thrownBy(() => batch.runs())).toMatchObject({ code: 'ERR_DEVMEM_LINEAR_FRAGMENT' });
  });
});
