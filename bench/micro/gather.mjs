// @ts-check
// Scattered fragments of host memory, taken and copied to one place, against memcpy of the
// same runs from the same memory in C. Prints samples of ns a byte as JSON.
//
//   node bench/micro/gather.mjs MEMCPY ROUNDS [cold]
//
// With `cold` each of both copies what is in no cache, as it is where a NIC has written it.
import { performance } from 'node:perf_hooks';

import { DmaBuf } from '../../dist/index.js';
import { gatherTo } from '../lib/gather.mjs';
import { startMemcpy } from '../peer/memcpy.mjs';
import { BatchSource, endlessCursor, InternalReader } from './hand-made.mjs';

const WARM_UPS = 200;
const BATCH = 512;
const BATCHES = 2;
// As TCP cuts a stream, each in a page of its own.
const FRAGMENT = 1448;
const PAGE = 4096;
// More than caches hold.
const PAGES = 65536;
const BYTES = BATCH * BATCHES * FRAGMENT;

const [program = '', rounds = '', temperature] = process.argv.slice(2);
const cold = temperature === 'cold';
const memory = await DmaBuf.allocate({ type: 'host', size: PAGES * PAGE });
memory.map().fill(1);
const copying = startMemcpy(program, memory, BYTES, { cold });
const source = new BatchSource(BATCH, 0, memory);
let scattered = 0;
scatter();
const stream = { cursor: endlessCursor(source, BATCHES), bindings: [{ heldLimit: BYTES }] };
const reader = InternalReader.make(stream, () => {});
const gather = gatherTo(memory, new Uint8Array(BYTES).fill(1), { cold });

/** Gives all fragments other places, which were not read for long. */
function scatter() {
  const first = scattered++ * BATCH * BATCHES;
  source.scatter(FRAGMENT, (index) => (((first + index) * 4099) % PAGES) * PAGE);
}

/** @type {Record<'take' | 'gather' | 'memcpy', number[]>} */
const samples = { take: [], gather: [], memcpy: [] };
for (let round = -WARM_UPS; round < Number(rounds); round++) {
  const before = performance.now();
  const span = await reader.take(BYTES);
  const take = (performance.now() - before) * 1e6;
  if (cold) scatter();
  const first = round % 2 === 0 ? gather(span) : undefined;
  if (cold) scatter();
  const memcpy = await copying.copy(span.runs());
  if (cold) scatter();
  const times = { take, memcpy, gather: first ?? gather(span) };
  span.release();
  if (round < 0) continue;
  for (const [name, ns] of Object.entries(times)) {
    samples[/** @type {keyof typeof times} */ (name)].push(ns / BYTES);
  }
}
await copying.close();
await memory.close();
process.stdout.write(`${JSON.stringify(samples)}\n`);
