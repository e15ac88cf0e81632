// @ts-check
// In the guest: how long a program takes from its start to the first byte received, by
// this package into bound memory and by net.Socket, in turn. Prints ms as JSON.
//
//   node bench/lab/cold.mjs SOURCE ROUNDS      measures
//   node bench/lab/cold.mjs --devmem HOST PORT is measured; so is --netSocket
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

import { INTERFACE, PEER_ADDRESS, rxQueues } from './interface.mjs';

const MiB = 2 ** 20;

/** @type {Record<string, (host: string, port: number) => Promise<void>>} */
const PROGRAMS = {
  async '--devmem'(host, port) {
    const { bindRx, connect, DmaBuf } = await import('../../dist/index.js');
    const { request } = await import('../peer/source.mjs');
    const memory = await DmaBuf.allocate({ type: 'dma-heap', size: 64 * MiB });
    const queues = rxQueues();
    const binding = await bindRx({ interface: INTERFACE, queues, memory, mode: 'devmem' });
    const socket = await connect({ binding, host, port });
    socket.writable.write(request(MiB));
    await socket.batches().next();
  },
  async '--netSocket'(host, port) {
    const { default: net } = await import('node:net');
    const { request } = await import('../peer/source.mjs');
    const socket = net.connect({ host, port });
    socket.write(request(MiB));
    await once(socket, 'data');
  },
};

const [first = '', second = '', third] = process.argv.slice(2);
const program = PROGRAMS[first];
if (program !== undefined) {
  await program(second, Number(third));
  process.stdout.write('received\n');
  process.exit();
}

const { alternate } = await import('../lib/alternate.mjs');
const { startSource } = await import('../peer/source.mjs');
const source = await startSource(first, PEER_ADDRESS, ['peer']);

/** @param {string} kind */
const sample = (kind) => async () => {
  const script = fileURLToPath(import.meta.url);
  const before = performance.now();
  const child = spawn(process.execPath, [script, kind, source.host, String(source.port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const milliseconds = performance.now() - before;
  await once(child, 'exit');
  return milliseconds;
};
const contenders = { devmem: sample('--devmem'), netSocket: sample('--netSocket') };
await alternate(contenders, 1);
const samples = await alternate(contenders, Number(second));
await source.close();
process.stdout.write(`${JSON.stringify(samples)}\n`);
