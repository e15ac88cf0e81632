import { describe, expect, it } from 'vitest';

import { parseAllowance } from '../../dist/cli/commands/broker.js';
import { UsageError } from '../../dist/cli/command.js';
import { generator } from '../support/random.js';
import { thrownBy } from '../support/thrown.js';

describe('--allow', () => {
  it.for([
    ['eth1', { interface: 'eth1' }],
    ['eth1:2', { interface: 'eth1', queues: [2] }],
    ['eth1:2,3', { interface: 'eth1', queues: [2, 3] }],
    ['eth1:8-11,2', { interface: 'eth1', queues: [8, 9, 10, 11, 2] }],
    ['eth1.100:0', { interface: 'eth1.100', queues: [0] }],
  ] as const)('%s is read', ([text, allowance]) => {
    expect(parseAllowance(text)).toEqual(allowance);
  });

  it.for([
    '',
    ':1',
    'eth1:',
    'eth1:x',
    'eth1:q2',
    'eth1:2,',
    'eth1:-3',
    'eth1:5-2',
    'eth1:1,1',
    'eth1:65536',
    'eth1:0-99999',
    'eth0:1:4',
    'a/b',
    'eth1 :2',
  ])('%j is a usage error', (text) => {
    const error = thrownBy(() => parseAllowance(text));
    expect(error).toBeInstanceOf(UsageError);
    expect(error.message).toContain(`--allow '${text}'`);
  });

  it('allows every queue only where none is named, whatever is written', () => {
    const pieces = ['eth1', ':', ',', '-', '0', '7', '12', '65535', '65536', 'q', ' ', '\n', '+'];
    for (let seed = 1; seed <= 3000; seed++) {
      const random = generator(seed);
      const count = 1 + random(8);
      const text = Array.from({ length: count }, () => pieces[random(pieces.length)]!).join('');
      expect(outcome(text), `seed ${seed}: ${JSON.stringify(text)}`).toEqual(expected(text));
    }
  });
});

/** The queues that are allowed, 'all', or 'refused'. */
function outcome(text: string): readonly number[] | 'all' | 'refused' {
  try {
    return parseAllowance(text).queues ?? 'all';
  } catch (error) {
    if (error instanceof UsageError) return 'refused';
    throw error;
  }
}

/** The same by counting: a range at a time, by what its ends are. */
function expected(text: string): readonly number[] | 'all' | 'refused' {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  // Of the pieces, what no interface has in its name.
  if (name === '' || name.includes(' ') || name.includes('\n')) return 'refused';
  if (colon < 0) return 'all';
  const queues: number[] = [];
  for (const part of text.slice(colon + 1).split(',')) {
    const ends = part.trim().split('-');
    if (ends.length > 2 || !ends.every((end) => /^[0-9]{1,5}$/.test(end))) return 'refused';
    const [first, last] = [Number(ends[0]), Number(ends.at(-1))];
    if (last > 65535 || first > last) return 'refused';
    for (let queue = first; queue <= last; queue++) {
      if (queues.includes(queue)) return 'refused';
      queues.push(queue);
    }
  }
  return queues;
}
