// What a process does with the CUDA engine, by the name of a scenario; prints what came of
// it as JSON. The library is the double's or the real one, by LD_LIBRARY_PATH.
import { once } from 'node:events';
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

import { DmaBuf } from '../../../dist/index.js';

import { openCudaEngine } from '../../../dist/gather/cuda.js';
import { native } from '../../../dist/native.js';
import { generator } from '../../support/generator.mjs';
import { describe, failureOf } from './failures.mjs';

/**
 * @typedef {import('../../../dist/gather/engine.js').SharedEngine} SharedEngine
 * @typedef {import('../../../dist/gather/engine.js').Ranges} Ranges
 */

const MiB = 2 ** 20;
const SEED = Number(process.env.GATHER_SEED ?? 1);

const random = generator(SEED);

/** @param {number} length */
function randomBytes(length) {
  const bytes = Buffer.alloc(length);
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, length >> 2);
  for (let i = 0; i < words.length; i++) words[i] = random(2 ** 32);
  return bytes;
}

/** @param {number} [size] */
const onGpu = (size = 2 * MiB) => DmaBuf.allocate({ type: 'cuda', size });

/** @param {number} [size] */
const onHost = (size = 2 * MiB) => DmaBuf.allocate({ type: 'host', size });

/**
 * Fragments as they may come: of any size up to `largest`, anywhere, in any order.
 *
 * @param {number} memory bytes
 * @param {number} count
 * @param {number} largest bytes
 * @returns {Ranges}
 */
function scattered(memory, count, largest) {
  const spare = random(5); // columns may have more before and after
  const offsets = new Float64Array(count + 2 * spare).fill(NaN);
  const sizes = new Uint32Array(count + 2 * spare).fill(2 ** 32 - 1);
  for (let i = spare; i < spare + count; i++) {
    const size = random(8) === 0 ? random(3) : random(largest + 1);
    const offset = random(memory - size + 1);
    sizes[i] = size;
    offsets[i] = random(2) === 0 ? offset : offset - (offset % 16);
  }
  return { offsets, sizes, first: spare, count };
}

/** @param {...[number, number]} fragments offset and size */
function ranges(...fragments) {
  const offsets = Float64Array.from(fragments, ([offset]) => offset);
  const sizes = Uint32Array.from(fragments, ([, size]) => size);
  return { offsets, sizes, first: 0, count: fragments.length };
}

/**
 * What gathering them gives.
 *
 * @param {Buffer} bytes
 * @param {Ranges} ranges
 */
function gathered(bytes, { offsets, sizes, first, count }) {
  const parts = [];
  for (let i = first; i < first + count; i++) {
    const offset = offsets[i] ?? NaN;
    parts.push(bytes.subarray(offset, offset + (sizes[i] ?? NaN)));
  }
  return Buffer.concat(parts);
}

/**
 * Copies many times at once, from the memory or of bytes, to places of their own, and
 * compares all of the target with what has to be there.
 *
 * @param {DmaBuf | undefined} source
 * @param {DmaBuf | Uint8Array} target
 * @param {number} rounds
 */
async function compare(source, target, rounds) {
  const engine = await openCudaEngine(0);
  const whole = target instanceof Uint8Array ? target.length : target.size;
  const bytes = randomBytes(source?.size ?? MiB);
  source?.write(0, bytes);
  const expected = target instanceof Uint8Array ? Buffer.from(target) : target.read(0, whole);
  for (let round = 0; round < rounds; round++) {
    const copies = [];
    for (let at = random(33); ;) {
      const largest = [100, 1500, 9000, 70_000, 600_000][random(5)] ?? 0;
      const part = scattered(bytes.length, random(random(4) === 0 ? 1300 : 60), largest);
      const wanted = gathered(bytes, part);
      if (at + wanted.length > whole) break;
      wanted.copy(expected, at);
      if (source !== undefined) copies.push(engine.copy(source, part, target, at));
      else copies.push(engine.copyBytes(wanted, /** @type {DmaBuf} */ (target), at));
      at += wanted.length + random(3);
    }
    await Promise.all(copies);
    // Given back: something else comes there.
    if (source !== undefined) {
      randomBytes(bytes.length >> 2).copy(bytes, random(100));
      source.write(0, bytes);
    }
  }
  const found = target instanceof Uint8Array ? Buffer.from(target) : target.read(0, whole);
  await engine.close();
  let wrong = -1;
  if (!found.equals(expected)) wrong = found.findIndex((byte, i) => byte !== expected[i]);
  return { wrong, live: native().cudaLive() };
}

/**
 * @param {DmaBuf | undefined} source
 * @param {DmaBuf | Uint8Array} target
 */
async function compareAndClose(source, target) {
  const outcome = await compare(source, target, 3);
  await source?.close();
  if (target instanceof DmaBuf) await target.close();
  return outcome;
}

/**
 * An engine, two memories, and their end.
 *
 * @template T
 * @param {(engine: SharedEngine, source: DmaBuf, target: DmaBuf) => Promise<T>} use
 */
async function withEngine(use) {
  const source = await onGpu();
  const target = await onGpu();
  try {
    const engine = await openCudaEngine(0);
    try {
      return await use(engine, source, target);
    } finally {
      await engine.close();
    }
  } finally {
    await source.close();
    await target.close();
  }
}

/** @type {unknown[]} What stays reachable. */
const kept = [];

/** @type {Record<string, () => Promise<unknown>>} */
const scenarios = {
  async deviceToDevice() {
    return compareAndClose(await onGpu(), await onGpu(8 * MiB));
  },
  async hostToDevice() {
    return compareAndClose(await onHost(), await onGpu(8 * MiB));
  },
  async deviceToHost() {
    return compareAndClose(await onGpu(), await onHost(8 * MiB));
  },
  async deviceToBytes() {
    return compareAndClose(await onGpu(), new Uint8Array(5 * MiB));
  },
  async bytesToDevice() {
    return compareAndClose(undefined, await onGpu(8 * MiB));
  },

  // One batch as the ring has it; then one fragment that is larger than any launch's piece.
  async launches() {
    return withEngine(async (engine, source, target) => {
      const offsets = Float64Array.from({ length: 1024 }, (_, i) => i * 1448);
      const sizes = new Uint32Array(1024).fill(1448);
      await engine.copy(source, { offsets, sizes, first: 0, count: 1024 }, target, 0);
      await engine.copy(source, ranges([0, 2 * MiB]), target, 0);
      return 'copied';
    });
  },

  // All to the same place: what was asked for last is what is there.
  async order() {
    return withEngine(async (engine, source, target) => {
      const marks = Buffer.from(Array.from({ length: 4096 }, (_, i) => i >> 4));
      source.write(0, marks);
      /** @type {number[]} */
      const done = [];
      const copies = [];
      for (let i = 0; i < 250; i++) {
        copies.push(engine.copy(source, ranges([i * 16, 16]), target, 5).then(() => done.push(i)));
      }
      await Promise.all(copies);
      const inOrder = done.every((each, i) => each === i);
      return { inOrder, last: [...new Set(target.read(5, 16))], before: target.read(0, 5).length };
    });
  },

  // More at once than there are slots, while timers and I/O go on.
  async manyAtOnce() {
    return withEngine(async (engine, source, target) => {
      let turns = 0;
      const over = new AbortController();
      const ticking = (async () => {
        for (; !over.signal.aborted; turns++) await nextTurn();
      })();
      const copies = Array.from({ length: 200 }, (_, i) =>
        engine.copy(source, ranges([i, 5000]), target, i),
      );
      await Promise.all(copies);
      over.abort();
      await ticking;
      return { turns, slots: native().CudaGather.slots };
    });
  },

  async shared() {
    const engines = await Promise.all([openCudaEngine(0), openCudaEngine(0), openCudaEngine(1)]);
    const open = native().cudaLive();
    await engines[0].close();
    await engines[0].close();
    const one = native().cudaLive();
    const memory = await onGpu();
    const refused = await failureOf(() => engines[0].copyBytes(Buffer.alloc(1), memory, 0));
    await memory.close();
    await engines[1].close();
    await engines[2].close();
    const again = await openCudaEngine(0);
    const reopened = native().cudaLive();
    await again.close();
    return { open, one, refused, reopened, live: native().cudaLive() };
  },

  async misuse() {
    return withEngine(async (engine, source, target) => {
      const host = await onHost();
      const other = await DmaBuf.allocate({ type: 'cuda', size: MiB, device: 1 });
      const closed = await onGpu();
      await closed.close();
      const size = source.size;
      const failures = [
        await failureOf(() => engine.copy(source, ranges([0, 10]), target, size - 9)),
        await failureOf(() => engine.copy(source, ranges([size - 9, 10]), target, 0)),
        await failureOf(() => engine.copy(source, ranges([-1, 10]), target, 0)),
        await failureOf(() => engine.copy(host, ranges([0, 1]), host, 0)),
        await failureOf(() => engine.copy(other, ranges([0, 1]), target, 0)),
        await failureOf(() => engine.copy(source, ranges([0, 1]), closed, 0)),
        await failureOf(() => engine.copyBytes(Buffer.alloc(2), host, 0)),
      ];
      await engine.copy(source, ranges([0, 10], [5, 0]), target, size - 10);
      await engine.copy(source, ranges(), target, size);
      await host.close();
      await other.close();
      return failures;
    });
  },

  // Only the one copy fails whose array is not there any more.
  async detached() {
    return withEngine(async (engine, source) => {
      source.write(0, Buffer.from('whole'));
      const array = new Uint8Array(2 * MiB);
      const lost = failureOf(() => engine.copy(source, ranges([0, 2 * MiB]), array, 0));
      structuredClone(array.buffer, { transfer: [array.buffer] });
      const whole = new Uint8Array(5);
      await engine.copy(source, ranges([0, 5]), whole, 0);
      return { lost: await lost, whole: Buffer.from(whole).toString() };
    });
  },

  // Memory that is closed meanwhile is freed when the last launch is done.
  async closedMeanwhile() {
    const engine = await openCudaEngine(0);
    const source = await onGpu();
    const host = await onHost();
    const target = await onGpu();
    host.write(0, Buffer.from('host'));
    source.write(0, Buffer.from('gpu'));
    await engine.copy(host, ranges([0, 4]), target, 0); // registers it
    const copies = [
      engine.copy(host, ranges([0, 4]), target, 0),
      engine.copy(source, ranges([0, 3]), target, 4),
    ];
    await source.close();
    await host.close();
    await Promise.all(copies);
    const text = target.read(0, 7).toString();
    await target.close();
    const { registrations } = native().cudaLive();
    await engine.close();
    return { text, registrations, live: native().cudaLive() };
  },

  // One call fails somewhere: what that came to, and what is left.
  async failing() {
    const used = async () => {
      const host = await onHost();
      try {
        return await withEngine(async (engine, source, target) => {
          const wanted = randomBytes(3 * 4096);
          source.write(0, wanted);
          host.write(0, wanted);
          const outcomes = await Promise.all(
            [
              () => engine.copy(source, ranges([0, 4096]), target, 0),
              () => engine.copy(host, ranges([4096, 4096]), target, 4096),
              () => engine.copyBytes(wanted.subarray(8192), target, 8192),
            ].map(failureOf),
          );
          const right = outcomes.every((failure, i) => {
            const there = () => target.read(i * 4096, 4096);
            return (
              failure !== undefined || there().equals(wanted.subarray(i * 4096, (i + 1) * 4096))
            );
          });
          return { outcomes, right };
        });
      } finally {
        await host.close();
      }
    };
    try {
      return { used: await used(), live: native().cudaLive() };
    } catch (error) {
      return { error: describe(error), live: native().cudaLive() };
    }
  },

  // The GPU meets an error: nothing that is under way comes to its end.
  async fault() {
    /** @type {unknown[]} */
    let after = [];
    const failures = await withEngine(async (engine, source, target) => {
      const copies = Array.from({ length: 40 }, (_, i) =>
        failureOf(() => engine.copy(source, ranges([i, 100]), target, i)),
      );
      const outcomes = await Promise.all(copies);
      after = [
        await failureOf(() => engine.copy(source, ranges([0, 1]), target, 0)),
        await failureOf(() => engine.copyBytes(Buffer.alloc(1), target, 0)),
      ];
      return outcomes;
    });
    return { failures, after, live: native().cudaLive() };
  },

  async workers() {
    native(); // stays loaded, as what it has counted
    return scenarios.workersAlone?.();
  },
  // Each worker loads the addon anew, and has it unloaded.
  async workersAlone() {
    for (let i = 0; i < Number(process.env.GATHER_WORKERS ?? 20); i++) {
      const worker = new Worker(new URL(import.meta.url), { argv: ['busy'] });
      await once(worker, 'message');
      if (i % 2 === 1) await delay(i % 7);
      await worker.terminate();
    }
    return { live: native().cudaLive() };
  },
  async busy() {
    const engine = await openCudaEngine(0);
    const source = await onGpu();
    const host = await onHost();
    const target = await onGpu(8 * MiB);
    const array = new Uint8Array(MiB);
    for (;;) {
      const copies = [];
      for (let i = 0; i < 30; i++) {
        copies.push(engine.copy(source, scattered(MiB, 100, 9000), target, 0));
        copies.push(engine.copy(host, scattered(MiB, 20, 9000), target, 0));
        copies.push(engine.copy(source, ranges([i, MiB]), array, 0));
        copies.push(engine.copyBytes(array, target, i));
      }
      parentPort?.postMessage('busy');
      await Promise.all(copies);
    }
  },

  // The end of the process in mid-gather: by itself, once that is done, or by exit().
  async end() {
    const engine = await openCudaEngine(0);
    const target = await onGpu();
    const copies = Array.from({ length: 50 }, (_, i) =>
      engine.copyBytes(Buffer.alloc(100_000), target, i),
    );
    kept.push(engine, target);
    void Promise.all(copies).then(() => process.stdout.write('"done"'));
    return undefined;
  },
  async exit() {
    const engine = await openCudaEngine(0);
    const target = await onGpu();
    for (let i = 0; i < 50; i++) kept.push(engine.copyBytes(Buffer.alloc(100_000), target, i));
    process.stdout.write('"exiting"', () => process.exit(0));
    await delay(10_000);
    return undefined;
  },
};

const name = process.argv[2] ?? '';
const result = await scenarios[name]?.();
if (isMainThread && result !== undefined) process.stdout.write(JSON.stringify(result));
