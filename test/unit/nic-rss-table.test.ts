import { describe, expect, it } from 'vitest';

import {
  defaultTable,
  describeTable,
  ethtoolSpread,
  excludeQueues,
  isDefaultTable,
  tableOver,
} from '../../dist/nic/prepare/rss-table.js';

describe('queues taken out of an RSS table', () => {
  it('leave their entries to the others in turn, and the rest as it was', () => {
    const table = excludeQueues(defaultTable(8, 4), new Set([2, 3]), 4);
    expect(table).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
  });

  it('leave a table alone that does not use them', () => {
    expect(excludeQueues([0, 0, 1, 1], new Set([3]), 4)).toEqual([0, 0, 1, 1]);
  });

  it('leave queues out that the table had left out itself', () => {
    expect(excludeQueues([1, 3, 1, 3], new Set([3]), 4)).toEqual([1, 1, 1, 1]);
  });

  it('leave other queues than the table used where it used those only', () => {
    expect(excludeQueues([2, 3, 2, 3], new Set([2, 3]), 4)).toEqual([0, 1, 0, 1]);
  });

  it('cannot be all there are', () => {
    expect(excludeQueues([0, 1], new Set([0, 1]), 2)).toBeUndefined();
  });
});

it('the default table is the kernel’s, and known by its entries', () => {
  expect(defaultTable(5, 3)).toEqual([0, 1, 2, 0, 1]);
  expect(isDefaultTable([0, 1, 2, 0, 1], 3)).toBe(true);
  expect(isDefaultTable([0, 1, 2, 0, 1], 4)).toBe(false);
  expect(tableOver([2, 5], 5)).toEqual([2, 5, 2, 5, 2]);
});

it.each([
  [[0, 1, 2], 'queues 0-2', 'equal 3'],
  [[4], 'queues 4', 'start 4 equal 1'],
  [[3, 2], 'queues 2-3', 'start 2 equal 2'],
  [[0, 1, 4], 'queues 0-1, 4', 'weight 1 1 0 0 1'],
])('%j is written as "%s" and "%s"', (table, people, ethtool) => {
  expect(describeTable(table)).toBe(people);
  expect(ethtoolSpread(table)).toBe(ethtool);
});
