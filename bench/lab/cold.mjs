// @ts-check
// In the guest: how long a program takes from its start to the first byte received, by
// this package into bound memory and by net.Socket, in turn. Prints ms as JSON.
//
//   node bench/lab/cold.mjs SOURCE ROUNDS [NAMES [ZCRX_RECEIVER]]   measures those of NAMES,
//                                                 which commas separate: devmem, netSocket…
//   node bench/lab/cold.mjs --devmem HOST PORT    is measured; so are --netSocket and --zcrx
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

import { INTERFACE, PEER_ADDRESS, rxQueues } from './interface.mjs';

const MiB = 2 ** 20;
const MEMORY = 64 * MiB;

/** One queue, to which all packets go, where a transport takes one. */
const QUEUE = 1;

/**
 * @param {Partial<import('devmem-tcp').BindRxOptions>} options
 * @param {string} host
 * @param {number} port
 */
async function receiveBatch(options, host, port) {
  const { bindRx, connect, DmaBuf } = await import('devmem-tcp');
  const { request } = await import('../peer/source.mjs');
  const memory = await DmaBuf.allocate({ type: 'dma-heap', size: MEMORY });
  const bound = { interface: INTERFACE, queues: rxQueues(), memory, ...options };
  const binding = await bindRx({ ...bound, mode: 'devmem' });
  const socket = await connect({ binding, host, port });
  socket.writable.write(request(MiB));
  await socket.batches().next();
}

/** @type {Record<string, (host: string, port: number) => Promise<void>>} */
const PROGRAMS = {
  '--devmem': (host, port) => receiveBatch({}, host, port),
  '--zcrx': (host, port) => receiveBatch({ queues: [QUEUE], transport: 'zcrx' }, host, port),
  async '--netSocket'(host, port) {
    const { default: net } = await import('node:net');
    const { request } = await import('../peer/source.mjs');
    const socket = net.connect({ host, port });
    socket.write(request(MiB));
    await once(socket, 'data');
  },
};

const [first = '', second = '', third, zcrxReceiver = ''] = process.argv.slice(2);
const program = PROGRAMS[first];
if (program !== undefined) {
  await program(second, Number(third));
  process.stdout.write('received\n');
  process.exit();
}

const { alternate } = await import('../lib/alternate.mjs');
const { startSource } = await import('../peer/source.mjs');
const source = await startSource(first, PEER_ADDRESS, ['peer']);

/** @param {readonly string[]} command */
const sample = (command) => async () => {
  const [program = '', ...args] = command;
  const before = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const milliseconds = performance.now() - before;
  await once(child, 'exit');
  return milliseconds;
};
const script = fileURLToPath(import.meta.url);
const target = [source.host, String(source.port)];
const byNode = (/** @type {string} */ kind) => [process.execPath, script, kind, ...target];
const index = readFileSync(`/sys/class/net/${INTERFACE}/ifindex`, 'utf8').trim();
/** @type {Record<string, readonly string[]>} */
const commands = {
  devmem: byNode('--devmem'),
  netSocket: byNode('--netSocket'),
  zcrx: byNode('--zcrx'),
  // To its last byte: it is one batch.
  zcrxC: [zcrxReceiver, ...target, ...[4096, 1, index, QUEUE, MEMORY, 0].map(String)],
};
const names = (third ?? 'devmem,netSocket').split(',');
if (names.includes('zcrx')) {
  execFileSync('ethtool', ['-X', INTERFACE, 'start', String(QUEUE), 'equal', '1']);
}
const contenders = Object.fromEntries(names.map((name) => [name, sample(commands[name] ?? [])]));
await alternate(contenders, 1);
const samples = await alternate(contenders, Number(second));
await source.close();
process.stdout.write(`${JSON.stringify(samples)}\n`);
