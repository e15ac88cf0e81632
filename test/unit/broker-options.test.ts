import { describe, expect, it } from 'vitest';

import { parseAllowance } from '../../dist/cli/commands/broker.js';
import { thrownBy } from '../support/thrown.js';

describe('--allow', () => {
  it.for([
    ['eth1', { interface: 'eth1' }],
    ['eth1:2', { interface: 'eth1', queues: [2] }],
    ['eth1:2,3', { interface: 'eth1', queues: [2, 3] }],
    ['eth1:8-11,2', { interface: 'eth1', queues: [8, 9, 10, 11, 2] }],
    ['eth0:1:4', { interface: 'eth0:1', queues: [4] }],
  ] as const)('%s is read', ([text, allowance]) => {
    expect(parseAllowance(text)).toEqual(allowance);
  });

  it.for(['', 'eth1:2,', 'eth1:-3', 'eth1:5-2', 'eth1:123456'])('%j is a usage error', (text) => {
    expect(thrownBy(() => parseAllowance(text)).message).toContain(`--allow '${text}'`);
  });
});
