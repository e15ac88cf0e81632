// @ts-check
// In the guest: bytes that have arrived, taken and copied to one place by a reader, against
// memcpy of the same runs in C. Prints ns a byte of each as JSON.
//
//   node bench/lab/gather.mjs SOURCE GATHER ROUNDS
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';

import { bindRx, connect, DmaBuf } from '../../dist/index.js';
import { parseJson } from '../lib/json.mjs';
import { request, startSource } from '../peer/source.mjs';
import { INTERFACE, PEER_ADDRESS, rxQueues } from './interface.mjs';

const MiB = 2 ** 20;
const SIZE = 128 * MiB;
// Of each sample: what a batch or two hold.
const BYTES = 2 * MiB;
const WARM_UPS = 20;

const [program = '', gather = '', rounds = ''] = process.argv.slice(2);
const memory = await DmaBuf.allocate({ type: 'udmabuf', size: SIZE });
const binding = await bindRx({
  interface: INTERFACE,
  queues: rxQueues(),
  memory,
  mode: 'devmem',
});
const source = await startSource(program, PEER_ADDRESS, ['peer']);
const socket = await connect({ binding, host: source.host, port: source.port });
const reader = socket.reader();
const target = new Uint8Array(BYTES).fill(1);
const all = WARM_UPS + Number(rounds);
// Once more, for the runs.
socket.writable.write(request((all + 1) * BYTES));

/** @type {number[]} */
const taken = [];
for (let round = 0; round < all; round++) {
  // Until all of it is there: what is timed waits for nothing.
  await reader.peek(BYTES);
  const before = performance.now();
  await reader.readInto(target);
  const milliseconds = performance.now() - before;
  if (round >= WARM_UPS) taken.push((milliseconds * 1e6) / BYTES);
}

const span = await reader.take(BYTES);
const runs = span.runs().filter(({ offset }) => offset !== undefined);
const child = spawn(gather, [String(SIZE), rounds], { stdio: ['pipe', 'pipe', 'inherit'] });
child.stdin.end(runs.map(({ offset, size }) => `${offset} ${size}\n`).join(''));
const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
const bytes = runs.reduce((sum, { size }) => sum + size, 0);
const copied = /** @type {number[]} */ (parseJson(output)).map((ns) => ns / bytes);
span.release();
await socket.close();
await binding.close();
await memory.close();
await source.close();
process.stdout.write(`${JSON.stringify({ taken, copied, runs: runs.length })}\n`);
