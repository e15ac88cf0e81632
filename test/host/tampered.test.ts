/** Nothing that a script does to memory that native code writes to harms anything else. */
import { describe, expect, it } from 'vitest';

import { Child } from '../support/child.js';

async function outcome(way: string): Promise<Record<string, unknown>> {
  const { status, stdout } = await new Child('tampered', [way]).outcome();
  expect(status).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('memory that native code writes to', () => {
  it('cannot be transferred', async () => {
    const result = await outcome('transfer');
    expect(result.buffers).toBeGreaterThan(2);
    expect(result.kept).toBeGreaterThan(0);
    expect(result).toMatchObject({ transferred: 0, held: 0, bytes: 100_000 });
  });

  it('is not believed when it is read again', async () => {
    const result = await outcome('garbage');
    expect(result.kept).toBeGreaterThan(0);
    expect(result).toMatchObject({ held: 0, bytes: 100_000 });
  });

  it('is refused where it could be transferred', async () => {
    const { refused } = await outcome('unshared');
    expect(refused).toMatch(/^TypeError: .*(readout|counters)/);
  });
});
