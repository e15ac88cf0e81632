import type { Transport } from './transport.js';

// Counted down from the largest that a descriptor can carry, which is reserved
// (batch_writer.h kReleasedSource): the kernel counts up from 1.
let lastId = 0xffff_ffff;

/** The fallback: the kernel copies payload into host memory, as for any socket. */
export const copy: Transport = {
  name: 'copy',
  copies: true,
  severalBindings: false,
  queuesInMemory: false,
  makeId: () => --lastId,
  mapping: (memory) => memory.mapping(),
};
