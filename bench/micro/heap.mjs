// @ts-check
// What a fragment takes from JavaScript's heap: bytes that reading batches allocates, in
// a young generation so large that nothing of it is collected meanwhile. Prints JSON.
//
//   node --expose-gc --min-semi-space-size=256 --max-semi-space-size=256 bench/micro/heap.mjs
import { median } from '../lib/statistics.mjs';
import { BatchSource } from './hand-made.mjs';

// Of each size as many, so that what is not the fragments' own (a batch, what measuring
// takes) is the same in both and drops out of the difference.
const BATCHES = 2 ** 14;
const SAMPLES = 5;
const SMALL = 64;
const LARGE = 1024;
// Offsets that V8 keeps as small integers, and some that it does not.
const FAR = 2 ** 36;

// In a typed array: each new value of a variable is a number on the heap.
const total = new Float64Array(1);
/**
 * @param {number} offset
 * @param {number} size
 */
const consume = (offset, size) => {
  total[0] = (total[0] ?? 0) + offset + size;
};

/** @param {BatchSource} source */
function read(source) {
  for (let i = 0; i < BATCHES; i++) {
    const batch = source.next();
    batch.forEach(consume);
    batch.release();
  }
}

/**
 * Bytes that reading one batch allocates.
 * @param {number} size
 * @param {number} start
 */
function bytesPerBatch(size, start) {
  const source = new BatchSource(size, start);
  for (let i = 0; i < 20; i++) read(source);
  const samples = Array.from({ length: SAMPLES }, () => {
    globalThis.gc?.();
    // Optimised code went with what was collected.
    for (let i = 0; i < 4; i++) read(source);
    const before = process.memoryUsage().heapUsed;
    read(source);
    return (process.memoryUsage().heapUsed - before) / BATCHES;
  });
  return median(samples);
}

if (globalThis.gc === undefined) throw new Error('run it with --expose-gc');
/** @param {number} start */
const measure = (start) => {
  const small = bytesPerBatch(SMALL, start);
  const large = bytesPerBatch(LARGE, start);
  return { small, large, perFragment: Math.max(0, (large - small) / (LARGE - SMALL)) };
};
const result = { near: measure(0), far: measure(FAR) };
if (!((total[0] ?? 0) > 0)) throw new Error('nothing was consumed');
process.stdout.write(`${JSON.stringify(result)}\n`);
