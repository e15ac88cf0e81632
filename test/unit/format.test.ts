import { describe, expect, it } from 'vitest';

import { formatBytes, formatRate, parseBytes } from '../../dist/cli/format.js';

describe('formatBytes', () => {
  it.for([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [1536, '1.50 KiB'],
    [2 ** 20, '1.00 MiB'],
    [2 ** 30, '1.00 GiB'],
    [2 ** 40, '1.00 TiB'],
    [2 ** 51, '2048.00 TiB'],
  ] as const)('writes %i as %s', ([bytes, text]) => {
    expect(formatBytes(bytes)).toBe(text);
  });
});

describe('formatRate', () => {
  it.for([
    [999, '999 B/s'],
    [1000, '1.00 kB/s'],
    [12.5e9, '12.50 GB/s'],
  ] as const)('writes %d as %s', ([rate, text]) => {
    expect(formatRate(rate)).toBe(text);
  });
});

describe('parseBytes', () => {
  it.for([
    ['0', 0],
    ['4096', 4096],
    ['64K', 65536],
    ['64k', 65536],
    ['64KB', 65536],
    ['64KiB', 65536],
    ['1.5M', 1.5 * 2 ** 20],
    ['2G', 2 ** 31],
    ['1 GiB', 2 ** 30],
    ['512B', 512],
  ] as const)('reads %j as %i', ([text, bytes]) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.for([
    '',
    'K',
    '-1',
    '1e3',
    '0x10',
    '1.',
    '.5',
    '1 2',
    ' 1',
    '1 ',
    '1\n',
    '1KK',
    '5T',
    'Infinity',
    'NaN',
  ])('does not take %j for a size', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });

  it('reads back what formatBytes writes', () => {
    for (const bytes of [1, 1024, 1536 * 1024, 3 * 2 ** 30]) {
      expect(parseBytes(formatBytes(bytes))).toBe(bytes);
    }
  });
});
