// Counted down from the largest that a descriptor can carry, but for two that are reserved
// (batch_writer.h kReleasedSource, kDividedSource): the kernel counts up from 1.
let lastId = 0xffff_fffe;

/** An id for a binding of which the kernel has none: like no other of this thread. */
export function ownId(): number {
  return --lastId;
}
