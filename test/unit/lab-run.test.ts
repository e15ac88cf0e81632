import { describe, expect, it } from 'vitest';

import { lostToEmulation } from '../../kernel/lab/run.mjs';

const INT3 = { lines: ['[    2.16] Oops: int3: 0000 [#1] SMP NOPTI'] };
const OTHER = { lines: ['[    2.16] Oops: general protection fault: 0000 [#1] SMP NOPTI'] };
const result = { status: 70, commandStatus: undefined, bootSeconds: undefined, splats: [INT3] };

describe('a guest is booted again', () => {
  it('where its kernel died of a breakpoint before the command began', () => {
    expect(lostToEmulation(result)).toBe(true);
  });

  it('not of anything else, nor later, nor without a reason', () => {
    expect(lostToEmulation({ ...result, splats: [OTHER] })).toBe(false);
    expect(lostToEmulation({ ...result, bootSeconds: 7 })).toBe(false);
    expect(lostToEmulation({ ...result, splats: [] })).toBe(false);
  });
});
