// @ts-check
// What a fragment costs in JavaScript once its batch is there: reads all of a batch and
// gives it back, in every way there is. Prints samples of ns per fragment as JSON.
//
//   node bench/micro/javascript.mjs ROUNDS
import { performance } from 'node:perf_hooks';

import { BatchIterator, FragmentIterator } from '../../dist/net/iterators.js';
import { alternate } from '../lib/alternate.mjs';
import { BatchSource, InternalReader, readyCursor } from './hand-made.mjs';

const BATCH = 64;
// Bytes of each fragment.
const FRAGMENT = 4096;
// Of one sample: some milliseconds, which a scheduler's tick does not fall into often.
const BATCHES = 4000;
const BATCHES_AWAITED = 1500;
const WARM_UP = 3;

const rounds = Number(process.argv[2]);
const source = new BatchSource(BATCH);

/** What a consumer does here: it uses both numbers, and little else. */
class Sink {
  total = 0;

  /**
   * @param {number} offset
   * @param {number} size
   */
  take(offset, size) {
    this.total += offset + size;
  }
}

const sink = new Sink();
/**
 * @param {number} offset
 * @param {number} size
 */
const consume = (offset, size) => {
  sink.take(offset, size);
};

function emptyLoop() {
  for (let i = 0; i < BATCHES * BATCH; i++) sink.take(i, BATCH);
}

function forEach() {
  for (let i = 0; i < BATCHES; i++) {
    const batch = source.next();
    batch.forEach(consume);
    batch.release();
  }
}

function accessors() {
  for (let i = 0; i < BATCHES; i++) {
    const batch = source.next();
    for (let index = 0; index < batch.length; index++) {
      sink.take(batch.offset(index), batch.size(index));
    }
    batch.release();
  }
}

function batchOf() {
  for (let i = 0; i < BATCHES; i++) {
    const batch = source.next();
    for (const fragment of batch) sink.take(fragment.offset ?? 0, fragment.size);
    batch.release();
  }
}

function batchOfReleasing() {
  for (let i = 0; i < BATCHES; i++) {
    for (const fragment of source.next()) {
      sink.take(fragment.offset ?? 0, fragment.size);
      fragment.release();
    }
  }
}

const close = async () => {};
const refusal = () => undefined;
const cursor = () => readyCursor(source, BATCHES_AWAITED);

async function batchIter() {
  for await (const batch of new BatchIterator(cursor(), close, refusal)) {
    batch.forEach(consume);
    batch.release();
  }
}

async function fragIter() {
  for await (const fragment of new FragmentIterator(cursor(), close, refusal)) {
    sink.take(fragment.offset ?? 0, fragment.size);
    fragment.release();
  }
}

// Of a reader whose every call ends inside a fragment.
async function take() {
  const stream = { cursor: cursor(), bindings: [{ heldLimit: 2 ** 30 }] };
  const reader = InternalReader.make(stream, () => {});
  const all = BATCHES_AWAITED * BATCH;
  (await reader.take(FRAGMENT / 2)).release();
  for (let i = 1; i < all; i++) {
    const span = await reader.take(FRAGMENT);
    span.forEach(consume);
    span.release();
  }
}

/**
 * The least that an async iterator can do: a promise and a result for each step.
 * @implements {AsyncIterableIterator<{ offset: number, size: number }, undefined>}
 */
class EmptyIterator {
  #left = BATCHES_AWAITED * BATCH;
  #value = { offset: 0, size: BATCH };

  /** @returns {Promise<IteratorResult<{ offset: number, size: number }, undefined>>} */
  next() {
    if (this.#left-- > 0) return Promise.resolve({ done: false, value: this.#value });
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

async function emptyIter() {
  for await (const { offset, size } of new EmptyIterator()) sink.take(offset, size);
}

/**
 * @param {() => void | Promise<void>} work
 * @param {number} batches
 */
const timed = (work, batches) => async () => {
  const before = performance.now();
  await work();
  return ((performance.now() - before) * 1e6) / (batches * BATCH);
};

const contenders = {
  emptyLoop: timed(emptyLoop, BATCHES),
  forEach: timed(forEach, BATCHES),
  accessors: timed(accessors, BATCHES),
  batchOf: timed(batchOf, BATCHES),
  batchOfReleasing: timed(batchOfReleasing, BATCHES),
  emptyIter: timed(emptyIter, BATCHES_AWAITED),
  batchIter: timed(batchIter, BATCHES_AWAITED),
  fragIter: timed(fragIter, BATCHES_AWAITED),
  take: timed(take, BATCHES_AWAITED),
};

await alternate(contenders, WARM_UP);
const samples = await alternate(contenders, rounds);
if (!(sink.total > 0)) throw new Error('nothing was consumed');
process.stdout.write(`${JSON.stringify(samples)}\n`);
