import { describe, expect, it } from 'vitest';

import { checkTensor, type TensorOptions } from '../../dist/memory/tensor.js';
import { thrownBy } from '../support/thrown.js';

const SIZE = 4096;

describe('a tensor', () => {
  it.for([
    [{}, { offset: 0, length: SIZE, dtype: 'uint8', shape: [SIZE] }],
    [{ offset: 96 }, { offset: 96, length: 4000, dtype: 'uint8', shape: [4000] }],
    [
      { offset: 4, length: 6 },
      { offset: 4, length: 6, dtype: 'uint8', shape: [6] },
    ],
    [{ dtype: 'float32' }, { offset: 0, length: SIZE, dtype: 'float32', shape: [1024] }],
    [
      { dtype: 'bfloat16', shape: [3, 5], offset: 2 },
      { offset: 2, length: 30, dtype: 'bfloat16', shape: [3, 5] },
    ],
    [
      { dtype: 'int64', shape: [2], length: 16 },
      { offset: 0, length: 16, dtype: 'int64', shape: [2] },
    ],
    [
      { dtype: 'float64', shape: [] },
      { offset: 0, length: 8, dtype: 'float64', shape: [] },
    ],
    [
      { shape: [4, 0], offset: SIZE },
      { offset: SIZE, length: 0, dtype: 'uint8', shape: [4, 0] },
    ],
  ] as const)('of the options %j is %j', ([options, tensor]) => {
    expect(checkTensor(options, SIZE)).toEqual(tensor);
  });

  it.for([
    [{ dtype: 'float' }, 'ERR_INVALID_ARG_VALUE', "one of 'bool', 'uint8'"],
    [{ offset: -1 }, 'ERR_OUT_OF_RANGE', '"options.offset"'],
    [{ offset: SIZE + 1 }, 'ERR_OUT_OF_RANGE', '"options.offset"'],
    [{ offset: 2, dtype: 'float32' }, 'ERR_OUT_OF_RANGE', 'a multiple of 4, the bytes of an elem'],
    [{ length: 2, dtype: 'float32' }, 'ERR_OUT_OF_RANGE', '"options.length"'],
    [{ length: SIZE + 1 }, 'ERR_OUT_OF_RANGE', `at most ${SIZE}`],
    [{ offset: 4, shape: [SIZE] }, 'ERR_OUT_OF_RANGE', `at most ${SIZE - 4}`],
    [{ length: 8, shape: [3] }, 'ERR_OUT_OF_RANGE', '3, the bytes of uint8 [3]'],
    [{ shape: 5 }, 'ERR_INVALID_ARG_TYPE', '"options.shape" argument must be an array'],
    [{ shape: ['5'] }, 'ERR_INVALID_ARG_TYPE', '"options.shape[0]"'],
    [{ shape: [1, -5] }, 'ERR_OUT_OF_RANGE', '"options.shape[1]"'],
    [{ shape: new Array(3) }, 'ERR_INVALID_ARG_TYPE', '"options.shape[0]"'],
    [{ shape: [0.5] }, 'ERR_OUT_OF_RANGE', '"options.shape[0]"'],
    [{ shape: new Array(33).fill(1) }, 'ERR_INVALID_ARG_VALUE', '32 dimensions'],
    [{ shape: [2 ** 40, 2 ** 40] }, 'ERR_INVALID_ARG_VALUE', 'fits into memory'],
    [{ length: '4' }, 'ERR_INVALID_ARG_TYPE', '"options.length"'],
  ] as const)('is refused with the options %j', ([options, code, words]) => {
    const error = thrownBy(() => checkTensor(options as unknown as TensorOptions, SIZE));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(words);
  });
});
