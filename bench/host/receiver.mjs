// @ts-check
// A receiver of one kind in a process of its own. For each line on its standard input,
// {"bytes", "connections"}, it receives that much over each connection from the source
// and prints a Sample as JSON.
//
//   node --expose-gc bench/host/receiver.mjs KIND HOST PORT
import { createInterface } from 'node:readline';
import { performance } from 'node:perf_hooks';

import { parseJson } from '../lib/json.mjs';
import { FILLERS, RECEIVERS } from './receivers.mjs';

/**
 * @typedef {object} Sample
 * @property {number} bytes    of all connections
 * @property {number} seconds  from connecting to the last byte
 * @property {number} user     CPU seconds of this process
 * @property {number} system
 * @property {number} rssMiB   resident memory after it
 */

const [kind = '', host = '', port] = process.argv.slice(2);
const open = RECEIVERS[kind] ?? FILLERS[kind];
if (open === undefined) throw new Error(`no receiver '${kind}'`);
const { receive, close } = await open(host, Number(port));

/**
 * @param {{ bytes: number, connections: number }} task
 * @returns {Promise<Sample>}
 */
async function run({ bytes, connections }) {
  const cpu = process.cpuUsage();
  const before = performance.now();
  const received = await Promise.all(Array.from({ length: connections }, () => receive(bytes)));
  const seconds = (performance.now() - before) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const total = received.reduce((sum, each) => sum + each, 0);
  if (total !== bytes * connections) throw new Error(`${total} of ${bytes * connections} bytes`);
  return {
    bytes: total,
    seconds,
    user: user / 1e6,
    system: system / 1e6,
    rssMiB: process.memoryUsage.rss() / 2 ** 20,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const task = /** @type {{ bytes: number, connections: number }} */ (parseJson(line));
  process.stdout.write(`${JSON.stringify(await run(task))}\n`);
}
await close();
