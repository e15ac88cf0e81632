import { describe, expect, it } from 'vitest';

import { renderReport } from '../../dist/cli/doctor/render.js';
import { painter, wrap } from '../../dist/cli/wrap.js';
import { examine } from '../../dist/doctor/diagnose.js';
import { machine } from '../support/machines.js';

const plain = (_style: unknown, text: string): string => text;

describe('wrap', () => {
  it('breaks at spaces, and indents what follows', () => {
    expect(wrap('one two three', 9, '  ')).toEqual(['  one two', '  three']);
  });

  it('leaves a longer word whole', () => {
    expect(wrap('a abcdefghij b', 5)).toEqual(['a', 'abcdefghij', 'b']);
  });
});

describe('a report', () => {
  it('fits a terminal of 80 columns', async () => {
    const { ready, ...report } = await examine(machine({ release: '6.12.1' }, {}), {});
    const text = renderReport({ ready, ...report }, 80, plain);
    const long = text.split('\n').filter((line) => line.length > 80);
    expect(long).toEqual([]);
    expect(text).toContain('What is missing:');
  });

  it('shows every finding by its area', async () => {
    const report = await examine(machine(), {});
    const text = renderReport(report, 80, plain);
    const headings = text
      .split('\n')
      .filter((line) => /^(kernel|interface|memory|topology|priv)/.test(line));
    expect(headings).toEqual(['kernel', 'interface eth1', 'memory', 'topology', 'privilege']);
    expect(text).toContain('A devmem receive could work here, on eth1.');
  });
});

describe('colours', () => {
  it('are for terminals, unless NO_COLOR is set', () => {
    const before = process.env.NO_COLOR;
    try {
      delete process.env.NO_COLOR;
      expect(painter({ isTTY: true })('red', 'x')).toContain('\x1b[');
      expect(painter({})('red', 'x')).toBe('x');
      process.env.NO_COLOR = '1';
      expect(painter({ isTTY: true })('red', 'x')).toBe('x');
    } finally {
      if (before === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = before;
    }
  });
});
