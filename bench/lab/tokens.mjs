// @ts-check
// In the guest: what a fragment costs by each way of telling of it and giving it back that
// the running kernel has (tokens.c). Prints all samples as JSON.
//
//   node bench/lab/tokens.mjs SOURCE TOKENS MODULE MIB ROUNDS
//
// MODULE is that of netlink-return, built for this kernel.
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

import { bindRx, DmaBuf } from 'devmem-tcp';
import { parseJson } from '../lib/json.mjs';
import { startSource } from '../peer/source.mjs';
import { INTERFACE, PEER_ADDRESS, PEER_INTERFACE, rxQueues } from './interface.mjs';

/**
 * One stream, read when it had come.
 * @typedef {object} Sample
 * @property {number} bytes
 * @property {number} fragments
 * @property {number} receiveCalls
 * @property {number} returnCalls
 * @property {number} receiving in the units of the guest's clock: nanoseconds, or instructions
 * @property {number} looking
 * @property {number} returning
 */
/** @typedef {Record<string, Record<string, Sample[]>>} Samples by kind of packets and way */

const MiB = 2 ** 20;
/** How much of the memory streams take at most: small fragments take a page each. */
const SHARE = 8;

const [sourceProgram = '', program = '', module = '', size = '', rounds = ''] =
  process.argv.slice(2);
const execute = promisify(execFile);
const memory = await DmaBuf.allocate({ type: 'dma-heap', size: Number(size) * SHARE * MiB });
const binding = await bindRx({ interface: INTERFACE, queues: rxQueues(), memory, mode: 'devmem' });
const source = await startSource(sourceProgram, PEER_ADDRESS, ['peer']);
const hasQueues = readFileSync('/proc/kallsyms', 'latin1').includes(' devmem_queue_attach\n');
const ways = ['cmsg', 'netlink', ...(hasQueues ? ['returns', 'rings'] : [])];
execFileSync('insmod', [module]);

/** @param {boolean} on whether the peer sends segments, not super-packets */
function sendSegments(on) {
  const state = on ? 'off' : 'on';
  execFileSync('peer', ['ethtool', '-K', PEER_INTERFACE, 'tso', state, 'gso', state]);
}

/** @type {Samples} */
const samples = {};
for (const [kind, segments, most] of /** @type {const} */ ([
  ['1448 bytes', true, MiB],
  ['4096 bytes', false, MiB],
  ['4096 bytes, 16 a call', false, 16 * 4096],
])) {
  sendSegments(segments);
  /** @type {Record<string, Sample[]>} */
  const ofKind = (samples[kind] = Object.fromEntries(ways.map((way) => [way, []])));
  // The first of each is to find all code and tables in place.
  for (let round = -1; round < Number(rounds); round++) {
    for (const way of ways) {
      const args = [source.host, source.port, Number(size) * MiB, way, most].map(String);
      const sample = /** @type {Sample} */ (parseJson((await execute(program, args)).stdout));
      if (round >= 0) ofKind[way]?.push(sample);
    }
  }
}
await source.close();
await binding.close();
await memory.close();
process.stdout.write(`${JSON.stringify(samples)}\n`);
