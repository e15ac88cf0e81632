/** What is said of options that make no sense, before anything is allocated. */
import { DmaBuf, type ImportOptions } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { rejectionOf } from '../support/thrown.js';

const SIZE = 2 ** 21;

const refusal = (options: object): Promise<Error> =>
  rejectionOf(DmaBuf.allocate({ size: SIZE, ...options }));

describe('an option of another type of memory', () => {
  it.for([
    [{ type: 'udmabuf', heap: 'system' }, 'heap', "'dma-heap'"],
    [{ heap: 'system' }, 'heap', "'dma-heap'"],
    [{ type: 'dma-heap', device: 0 }, 'device', "'cuda'"],
    [{ type: 'cuda', hugePages: '2M' }, 'hugePages', "'udmabuf', 'host', 'auto'"],
    [{ type: 'dma-heap', hugePages: '2M' }, 'hugePages', "'udmabuf', 'host', 'auto'"],
  ] as const)('is refused: %o', async ([options, name, types]) => {
    const error = await refusal(options);
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    expect(error.message).toContain(`"options.${name}" must be left out of type`);
    expect(error.message).toContain(`it is for ${types}`);
  });
});

describe('the name of a heap', () => {
  it.for(['', '.', '..', 'a/b', '../udmabuf', 'a\0b', 'x'.repeat(256)])(
    'is that of a file, not %o',
    async (heap) => {
      const error = await refusal({ type: 'dma-heap', heap });
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain('"options.heap"');
    },
  );

  it('is a string', async () => {
    expect(await refusal({ type: 'dma-heap', heap: 1 })).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });
});

describe('the number of a device', () => {
  it.for([-1, 0.5, 2 ** 31, NaN])('is a small integer, not %d', async (device) => {
    const error = await refusal({ type: 'cuda', device });
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain('"options.device"');
  });

  it('is no string', async () => {
    expect(await refusal({ type: 'cuda', device: '0' })).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });
});

describe('the size of huge pages', () => {
  it.for(['', '2', '2m', '2MB', '3M', '0M', '-2M', '1.5G', '02M', '2M '])(
    'is written as kernels do, not %o',
    async (hugePages) => {
      const error = await refusal({ type: 'host', hugePages });
      expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
      expect(error.message).toContain('"options.hugePages"');
    },
  );

  it.for([2, true, 2n ** 21n])('is a string, not %o', async (hugePages) => {
    expect(await refusal({ type: 'host', hugePages })).toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE',
    });
  });
});

describe('what is imported', () => {
  const importRefusal = (options: unknown): Promise<Error> =>
    rejectionOf(DmaBuf.import(options as ImportOptions));

  it.for([undefined, null, 3])('is told by options, not by %o', async (options) => {
    expect(await importRefusal(options)).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it.for([-1, 2 ** 31, 1.5])('has a descriptor, not %d', async (fd) => {
    expect(await importRefusal({ fd })).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  });

  it.for([undefined, '3', null])('has a descriptor that is a number, not %o', async (fd) => {
    expect(await importRefusal({ fd })).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });

  it('has a size that is a whole number', async () => {
    expect(await importRefusal({ fd: 0, size: 0.5 })).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
  });
});
