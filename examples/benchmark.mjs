// @ts-check
// A benchmark to copy and change: how fast this process receives, and what that costs it. The
// sender is a process of its own, so that CPU time is the receiver's alone. A first run is not
// counted; of the others the median is told, with the extremes.
//
//   node examples/benchmark.mjs                             over loopback, which copies
//   node examples/benchmark.mjs --megabytes 4096 --runs 9 --way into --json
//   node examples/benchmark.mjs --port 5201    from elsewhere: `npx devmem-tcp send --bytes 1G
//                                              --connect HOST`, once for each run and the first
//   … --interface eth1 --queues 14,15          into device memory, once the interface is set up
//
// --way batches: what came, many fragments at a time. fragments: one by one. into: contiguous,
// in memory of one's own, which is another copy where a NIC has written the bytes.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

/** @typedef {import('devmem-tcp').DevmemSocket} DevmemSocket */

const MiB = 2 ** 20;

/**
 * Ends the program for what an argument says.
 *
 * @param {string} why
 * @returns {never}
 */
function refuse(why) {
  console.error(why);
  process.exit(2);
}

/** @param {string} option */
const refuseFor =
  (option) =>
  (/** @type {Error} */ { message }) =>
    refuse(`${option}: ${message}`);

/**
 * @param {string} option
 * @param {string} text
 * @param {number} [least]
 * @param {number} [most]
 */
function numberOf(option, text, least = 0, most = 65_535) {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (number >= least && number <= most) return number;
  return refuse(`${option} takes numbers from ${least} to ${most}, not '${text}'`);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        megabytes: { type: 'string', default: '512' },
        runs: { type: 'string', default: '5' },
        way: { type: 'string', default: 'batches' },
        json: { type: 'boolean', default: false },
        port: { type: 'string' },
        interface: { type: 'string' },
        queues: { type: 'string', default: '' },
        'send-to': { type: 'string' },
      },
    }).values;
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.replace(/\n[^]*/, ''));
  }
}

const values = readArguments();
const askedPort = numberOf('--port', values.port ?? '0');
const megabytes = numberOf('--megabytes', values.megabytes, 1, 2 ** 20);
const runs = numberOf('--runs', values.runs, 1, 1000);

/** @type {Record<string, (socket: DevmemSocket, target: DmaBuf) => Promise<void>>} */
const WAYS = {
  async batches(socket) {
    for await (const batch of socket.batches({ preventClose: true })) batch.release();
  },
  async fragments(socket) {
    for await (const fragment of socket) fragment.release();
  },
  async into(socket, target) {
    const reader = socket.reader();
    while ((await reader.readInto(target)) === target.size);
  },
};

/**
 * What one connection took, until its end.
 *
 * @param {DevmemSocket} socket
 * @param {DmaBuf} target
 */
async function measure(socket, target) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await WAYS[values.way]?.(socket, target);
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const { deviceBytes, linearBytes, copiedBytes, fragments } = socket.stats;
  const bytes = deviceBytes + linearBytes + copiedBytes;
  return {
    bytes,
    fragments,
    gigabytesPerSecond: bytes / seconds / 1e9,
    cpuSecondsPerGigabyte: (user + system) / 1e6 / (bytes / 1e9),
  };
}

/** The other process. */
async function send() {
  const port = Number(values['send-to']);
  const client = net.connect({ port, host: '127.0.0.1' }).resume();
  const piece = Buffer.alloc(MiB, 'devmem');
  for (let sent = 0; sent < megabytes; sent++) {
    if (!client.write(piece)) await once(client, 'drain');
  }
  client.end();
  await once(client, 'close');
}

/** @param {number[]} numbers */
function summary(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (/** @type {number} */ index) => sorted.at(index) ?? NaN;
  return { median: at(sorted.length >> 1), least: at(0), most: at(-1) };
}

/** @param {{ transport: string, way: string } & Record<'gigabytesPerSecond' | 'cpuSecondsPerGigabyte', ReturnType<typeof summary>>} report */
function print({ transport, way, gigabytesPerSecond, cpuSecondsPerGigabyte }) {
  /** @type {[string, ReturnType<typeof summary>][]} */
  const lines = [
    ['GB/s', gigabytesPerSecond],
    ['CPU seconds for each GB', cpuSecondsPerGigabyte],
  ];
  console.log(`${way}, over ${transport}`);
  for (const [unit, { median, least, most }] of lines) {
    const [middle, low, high] = [median, least, most].map((number) => number.toFixed(3));
    console.log(`${middle} ${unit} (${low} to ${high})`);
  }
}

async function main() {
  if (!Object.hasOwn(WAYS, values.way)) {
    refuse(`--way takes one of ${Object.keys(WAYS).join(', ')}, not '${values.way}'`);
  }
  const memory = await DmaBuf.allocate({ size: 64 * MiB });
  const target = await DmaBuf.allocate({ type: 'host', size: 4 * MiB });
  const { interface: nic, queues } = values;
  const binding = await bindRx(
    nic === undefined
      ? { memory, mode: 'copy' }
      : {
          memory,
          interface: nic,
          queues: queues.split(',').map((each) => numberOf('--queues', each)),
          mode: 'devmem',
        },
  ).catch(refuseFor('--interface'));
  const server = createServer({ binding });
  const { port } = await server.listen({ port: askedPort });
  if (values.port !== undefined) console.error(`listening on port ${port}`);
  const self = fileURLToPath(import.meta.url);
  const results = [];
  for (let run = 0; run <= runs; run++) {
    const connection = once(server, 'connection');
    if (values.port === undefined) {
      fork(self, [`--send-to=${port}`, `--megabytes=${megabytes}`]);
    }
    /** @type {DevmemSocket[]} */
    const [socket] = await connection;
    if (socket === undefined) break;
    const result = await measure(socket, target);
    await socket.close();
    if (run > 0) results.push(result);
  }
  await server.close();
  await binding.close();
  await memory.close();
  await target.close();

  const report = {
    transport: binding.transport,
    way: values.way,
    gigabytesPerSecond: summary(results.map((run) => run.gigabytesPerSecond)),
    cpuSecondsPerGigabyte: summary(results.map((run) => run.cpuSecondsPerGigabyte)),
    runs: results,
  };
  if (values.json) console.log(JSON.stringify(report, undefined, 2));
  else print(report);
}

await (values['send-to'] === undefined ? main() : send());
