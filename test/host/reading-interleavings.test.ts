/**
 * All that a program and its peer can do with a connection, at the same time and in any
 * order, against an oracle.
 *
 *   DEVMEM_INTERLEAVINGS=10000   runs so many on each transport, in place of 300
 *   DEVMEM_SEED=17               runs the one of this seed alone
 */
import { it } from 'vitest';

import { chooseSeeds, interleave } from '../support/interleavings/seeds.js';
import { describeOverTransports } from '../support/transports.js';

const TIMEOUT_MS = 300_000;

describeOverTransports('a stream', (transport) => {
  it.for(chooseSeeds())(
    'is whole and in order, and leaves nothing behind, with seeds $first to $last',
    { timeout: TIMEOUT_MS },
    async ({ first, last }) => {
      for (let seed = first; seed <= last; seed++) await interleave(seed, transport);
    },
  );
});
