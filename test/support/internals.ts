/**
 * Constructors that the published types leave out (`stripInternal`): users get
 * these objects from the package, tests make them by hand.
 */
import { Batch, type Lessor } from '../../dist/receive/batch.js';
import { Binding } from '../../dist/receive/binding.js';
import type { Columns } from '../../dist/receive/ring.js';
import type { DmaBuf } from 'devmem-tcp';
import type { BindingParts as SourceParts } from '../../src/ts/receive/binding.js';

type BindingParts = Omit<SourceParts, 'memory'> & { memory: DmaBuf };

type BatchConstructor = new (
  lessor: Lessor,
  columns: Columns,
  base: number,
  first: number,
  count: number,
  linear: Uint8Array | undefined,
) => Batch;

type BindingConstructor = new (parts: BindingParts) => Binding;

export const InternalBatch = Batch as unknown as BatchConstructor;
export const InternalBinding = Binding as unknown as BindingConstructor;
