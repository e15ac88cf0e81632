/**
 * Programs of a reader's calls at random, against an oracle.
 *
 *   DEVMEM_READER_PROGRAMS=10000   runs so many on each transport, in place of 1000
 *   DEVMEM_SEED=17                 runs the one of this seed alone
 */
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { runProgram } from '../support/reader-programs/program.js';
import { describeOverTransports } from '../support/transports.js';

const BY_DEFAULT = 1000;
const IN_A_TEST = 100;

const { DEVMEM_SEED: one, DEVMEM_READER_PROGRAMS: count } = process.env;
const first = one === undefined ? 1 : Number(one);
const last = one === undefined ? Number(count ?? BY_DEFAULT) : first;
const groups = Array.from({ length: Math.ceil((last - first + 1) / IN_A_TEST) }, (_, index) => {
  const start = first + index * IN_A_TEST;
  return { start, end: Math.min(start + IN_A_TEST - 1, last) };
});

describeOverTransports('a reader', (transport) => {
  expectNoLeaks();

  it.for(groups)(
    'gives each byte once and in its place, with seeds $start to $end',
    { timeout: 300_000 },
    async ({ start, end }) => {
      for (let seed = start; seed <= end; seed++) {
        await runProgram(seed, transport);
      }
      expect(end).toBeGreaterThanOrEqual(start);
    },
  );
});
