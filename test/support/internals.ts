/**
 * Functions that the published types leave out (`stripInternal`): users get
 * these objects from the package, tests make them by hand.
 */
import { Batch } from '../../dist/receive/batch.js';
import { Binding } from '../../dist/receive/binding.js';
import { Lease, type Lessor } from '../../dist/receive/lease.js';
import { MemoryPool } from '../../dist/receive/pool.js';
import type { Columns } from '../../dist/receive/ring.js';
import { cmsg } from '../../dist/receive/transports/cmsg.js';
import type { DmaBuf } from 'devmem-tcp';
import type { BindingParts as SourceParts } from '../../src/ts/receive/binding.js';

type BindingParts = Omit<SourceParts, 'pool' | 'transport'>;

/** A batch of descriptors in hand-made columns; `first` is the number of the first. */
export function makeBatch(
  lessor: Lessor,
  columns: Columns,
  base: number,
  first: number,
  count: number,
  linear: Uint8Array | undefined,
): Batch {
  const Internal = Batch as unknown as { make(...parts: unknown[]): Batch };
  return Internal.make(new Lease(lessor, first, count), columns, base, linear);
}

/** The devmem transport over memory that no kernel has bound. */
export function bindUnbound(memory: DmaBuf, parts: Partial<BindingParts> = {}): Binding {
  const Internal = Binding as unknown as { make(parts: object): Binding };
  return Internal.make({
    transport: cmsg,
    pool: MemoryPool.reserve(memory),
    id: 1,
    interface: undefined,
    queues: [],
    heldLimit: memory.size / 2,
    stallWarningMs: Infinity,
    ringBytes: 0,
    ...parts,
  });
}
