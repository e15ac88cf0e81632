// @ts-check
/**
 * A receiver with a binding of its own, in a child process or a worker thread, to
 * be ended in the midst of it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

import { INTERFACE } from './nic.mjs';
import { Random } from './random.mjs';
import { codeOf } from './report.mjs';
import { TRANSPORT } from './transport.mjs';
import { pattern, startOf } from './wire.mjs';

/** @typedef {{ queue: number, port: number, seed: number }} ReceiverOptions */

/**
 * @typedef {{ kind: 'bound', id: number } | { kind: 'stream', port: number, bytes: number }
 *   | { kind: 'violation', text: string }} ReceiverMessage
 */

const MEMORY_BYTES = 12 * 2 ** 20;

const options = /** @type {ReceiverOptions} */ (
  isMainThread ? JSON.parse(process.argv[2] ?? '') : workerData
);
const random = new Random(options.seed);

/** @param {ReceiverMessage} message */
function tell(message) {
  if (parentPort === null) process.send?.(message);
  else parentPort.postMessage(message);
}

const memory = await DmaBuf.allocate({ type: 'udmabuf', size: MEMORY_BYTES });
const queues = [options.queue];
const binding = await bindRx({
  interface: INTERFACE,
  queues,
  memory,
  mode: 'devmem',
  transport: TRANSPORT,
  // As in the driver.
  stallWarningMs: Infinity,
});
const view = memory.map();

/** @param {import('devmem-tcp').DevmemSocket} socket */
async function receive(socket) {
  const port = socket.remotePort ?? 0;
  const start = startOf(port);
  let position = 0;
  /** @param {Uint8Array} bytes */
  const look = (bytes) => {
    const at = pattern.mismatch(start + position, bytes);
    if (at !== -1)
      tell({ kind: 'violation', text: `port ${port}: wrong byte at ${position + at}` });
    position += bytes.length;
  };
  for await (const batch of socket.batches()) {
    batch.forEach((offset, size) => {
      look(view.subarray(offset, offset + size));
    }, look);
    if (random.chance(0.3)) setTimeout(() => batch.release(), random.int(1, 500));
    else batch.release();
    if (random.chance(0.05)) await delay(random.int(1, 100));
  }
  tell({ kind: 'stream', port, bytes: position });
}

const server = createServer({ binding }, receive);
server.on('error', (/** @type {Error} */ error) => {
  tell({ kind: 'violation', text: error.stack ?? '' });
});
server.on('socketError', (/** @type {Error} */ error) => {
  tell({ kind: 'violation', text: `a connection failed with ${codeOf(error)}` });
});
await server.listen({ host: '::', port: options.port });
tell({ kind: 'bound', id: binding.id });
