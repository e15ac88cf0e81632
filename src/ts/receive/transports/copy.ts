import type { Transport } from './transport.js';

// Counted down from the largest that a descriptor can carry, but for two that are reserved
// (batch_writer.h kReleasedSource, kDividedSource): the kernel counts up from 1.
let lastId = 0xffff_fffe;

/** The fallback: the kernel copies payload into host memory, as for any socket. */
export const copy: Transport = {
  name: 'copy',
  copies: true,
  severalBindings: false,
  queuesInMemory: false,
  divides: true,
  makeId: () => --lastId,
  mapping: (memory) => memory.mapping(),
};
