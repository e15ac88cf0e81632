import { describe, expect, it } from 'vitest';

import { errorText } from '../../dist/cli/error-text.js';
import { Meter } from '../../dist/cli/transfer/meter.js';
import { receiveText } from '../../dist/cli/transfer/receive-report.js';
import {
  type ConnectionResult,
  remember,
  REMEMBERED,
  Tally,
} from '../../dist/cli/transfer/tally.js';

const result = (more: Partial<ConnectionResult> = {}): ConnectionResult => ({
  remote: '192.0.2.2:40000',
  bytes: 3,
  seconds: 1,
  frags: 1,
  deviceBytes: 2,
  linearBytes: 1,
  copiedBytes: 0,
  stalls: 0,
  ...more,
});

const REPORT = {
  ...result(),
  transport: 'copy' as const,
  kernel: '6.12',
  queues: [],
  memory: { type: 'host', size: 4096 },
  intervals: [],
};

describe('the tally of a transfer without end', () => {
  it('counts every connection, and remembers the last ones', () => {
    const tally = new Tally();
    const count = REMEMBERED + 5;
    for (let i = 0; i < count; i++) tally.add(result({ remote: `192.0.2.2:${i}` }));
    expect(tally.connections).toBe(count);
    expect(tally.sums).toMatchObject({ frags: count, deviceBytes: 2 * count, linearBytes: count });
    expect(tally.latest).toHaveLength(REMEMBERED);
    expect(tally.latest.at(-1)?.remote).toBe(`192.0.2.2:${count - 1}`);
  });

  it('does not forget what was wrong', () => {
    const tally = new Tally();
    tally.add(result({ verified: false, firstWrong: 7, remote: '192.0.2.3:1' }));
    tally.add(result({ verified: false, firstWrong: 8 }));
    tally.add(result({ verified: false, error: 'read ECONNRESET' }));
    for (let i = 0; i < REMEMBERED; i++) tally.add(result({ verified: true }));
    expect(tally).toMatchObject({ verified: false, failed: 1 });
    expect(tally.wrongByte).toEqual({ remote: '192.0.2.3:1', position: 7 });
  });

  it('knows nothing of bytes that nobody looked at', () => {
    const tally = new Tally();
    expect(tally.verified).toBeUndefined();
    tally.add(result());
    expect(tally.verified).toBeUndefined();
    tally.add(result({ verified: true }));
    expect(tally.verified).toBe(true);
  });

  it('is told with the last failures, and with how many there were', () => {
    const perConnection = Array.from({ length: 30 }, (_, i) => result({ error: `failure ${i}` }));
    const text = receiveText({ ...REPORT, connections: 50, failed: 40, perConnection });
    expect(text).toContain('40 connections; the last:');
    expect(text.match(/failure \d+/g)).toEqual(
      Array.from({ length: 10 }, (_, i) => `failure ${i + 20}`),
    );
  });
});

it('a list that remembers forgets what is too long ago', () => {
  const list: number[] = [];
  for (let i = 0; i <= REMEMBERED; i++) remember(list, i);
  expect(list).toHaveLength(REMEMBERED);
  expect(list[0]).toBe(1);
});

it('a meter tells which connection starts the clock', () => {
  using meter = new Meter({ total: undefined, interval: undefined, quiet: true });
  expect([meter.start(), meter.start()]).toEqual([true, false]);
});

describe('what is told of an error', () => {
  it('is its message', () => {
    expect(errorText(new Error('read ECONNRESET'))).toBe('read ECONNRESET');
    expect(errorText('a string')).toBe('a string');
  });

  it('is what each address said, where Node.js gives no message', () => {
    const errors = [
      new Error('connect ECONNREFUSED ::1:9'),
      new Error('connect EINVAL 127.0.0.1:9'),
    ];
    expect(errorText(new AggregateError(errors))).toBe(
      'connect ECONNREFUSED ::1:9; connect EINVAL 127.0.0.1:9',
    );
    expect(errorText(new AggregateError(errors, 'none would'))).toBe('none would');
  });
});
