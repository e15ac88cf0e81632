// @ts-check
// What a fragment takes from JavaScript's heap: bytes that reading batches allocates, in
// a young generation so large that nothing of it is collected meanwhile. Prints JSON.
//
//   node --expose-gc --max-semi-space-size=256 bench/micro/heap.mjs
import { BatchSource } from './hand-made.mjs';

const FRAGMENTS = 2 ** 20;
const SMALL = 64;
const LARGE = 1024;
// Offsets that V8 keeps as small integers, and some that it does not.
const FAR = 2 ** 36;

let total = 0;
/**
 * @param {number} offset
 * @param {number} size
 */
const consume = (offset, size) => {
  total += offset + size;
};

/**
 * @param {BatchSource} source
 * @param {number} size
 */
function read(source, size) {
  for (let i = 0; i < FRAGMENTS / size; i++) {
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
  for (let i = 0; i < 20; i++) read(source, size);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  read(source, size);
  return ((process.memoryUsage().heapUsed - before) * size) / FRAGMENTS;
}

if (globalThis.gc === undefined) throw new Error('run it with --expose-gc');
/** @param {number} start */
const measure = (start) => {
  const small = bytesPerBatch(SMALL, start);
  const large = bytesPerBatch(LARGE, start);
  return { small, large, perFragment: Math.max(0, (large - small) / (LARGE - SMALL)) };
};
const result = { near: measure(0), far: measure(FAR) };
if (!(total > 0)) throw new Error('nothing was consumed');
process.stdout.write(`${JSON.stringify(result)}\n`);
