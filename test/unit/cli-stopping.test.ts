import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { Stopper } from '../../dist/cli/transfer/stopping.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('the time of a transfer begins anew with its first connection', () => {
  using stopper = new Stopper();
  stopper.stopAfter(10);
  vi.advanceTimersByTime(9_000);
  stopper.stopAfter(10);
  vi.advanceTimersByTime(9_999);
  expect(stopper.reason).toBeUndefined();
  vi.advanceTimersByTime(1);
  expect(stopper).toMatchObject({ reason: 'seconds', signal: { aborted: true } });
});

it('the first reason to stop is the one that counts', () => {
  using stopper = new Stopper();
  stopper.stopAfter(1);
  stopper.stop('bytes');
  vi.advanceTimersByTime(1000);
  expect(stopper.reason).toBe('bytes');
});
