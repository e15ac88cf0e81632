/** Batches over hand-made columns: no socket, no addon. */
import type { DmaBuf } from 'devmem-tcp';
import type { Batch } from '../../dist/receive/batch.js';
import type { Lessor } from '../../dist/receive/lease.js';
import { CONNECTION_STAYS } from '../../dist/uncloneable.js';
import { makeBatch } from './internals.js';

export interface DeviceSpec {
  offset: number;
  size: number;
  /** Default 7. */
  dmabufId?: number;
}

export interface LinearSpec {
  bytes: string;
}

export type FragmentSpec = DeviceSpec | LinearSpec;

/** Remembers what was given back, in order. */
export class RecordingLessor implements Lessor {
  readonly uncloneable = CONNECTION_STAYS;
  readonly ranges: { first: number; count: number }[] = [];
  readonly ones: { number: number; last: boolean }[] = [];

  readonly memories = new Map<number, DmaBuf>();
  readonly onlySource: number | undefined;

  constructor({ onlySource }: { onlySource?: number } = {}) {
    this.onlySource = onlySource;
  }

  memoryOf(dmabufId: number): DmaBuf | undefined {
    return this.memories.get(dmabufId);
  }

  releaseRange(first: number, count: number): void {
    this.ranges.push({ first, count });
  }

  releaseOne(number: number, last: boolean): void {
    this.ones.push({ number, last });
  }
}

export interface HandMade {
  batch: Batch;
  lessor: RecordingLessor;
}

/** Where the batch starts in its columns: what is before it belongs to others. */
const BASE = 3;
/** The number of the batch's first descriptor. */
export const FIRST = 2048 + BASE;

/** A batch of the given fragments, in the middle of larger columns. */
export function handMade(...fragments: FragmentSpec[]): HandMade {
  const length = BASE + fragments.length + 2;
  const offsets = new Float64Array(length).fill(0xdead);
  const sizes = new Uint32Array(length).fill(0xdead);
  const sources = new Uint32Array(length).fill(0xdead);
  let linear = Buffer.alloc(0);
  fragments.forEach((each, index) => {
    const at = BASE + index;
    if ('bytes' in each) {
      offsets[at] = linear.length;
      sizes[at] = each.bytes.length;
      sources[at] = 0;
      linear = Buffer.concat([linear, Buffer.from(each.bytes)]);
    } else {
      offsets[at] = each.offset;
      sizes[at] = each.size;
      sources[at] = each.dmabufId ?? 7;
    }
  });
  const lessor = new RecordingLessor();
  const columns = { offsets, sizes, sources };
  const bytes = linear.length > 0 ? linear : undefined;
  return {
    lessor,
    batch: makeBatch(lessor, columns, BASE, FIRST, fragments.length, bytes),
  };
}
