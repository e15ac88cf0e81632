// @ts-check
// A worker thread for each queue: every one has memory, a binding and a server of its own, so
// that receiving scales with CPUs. A client gets the SHA-256 of what it has sent.
//
// A connection's packets reach the queue that the NIC steers them to, whichever thread has
// accepted it. So each worker has a port, and a rule brings that port to its queue.
//
//   node examples/workers.mjs                  two workers that copy; sends to each, and ends
//   node examples/workers.mjs --port 5201 --workers 4       ports 5201 to 5204, until Ctrl-C
//   … --interface eth1 --queues 12,13,14,15    one queue each (root: it sets the interface up)
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { bindRx, createServer, DmaBuf, prepareInterface } from 'devmem-tcp';

const MiB = 2 ** 20;

/** @typedef {{ port: number, interface: string | undefined, queue: number }} Task */

/** A worker's program. */
async function receive() {
  /** @type {Task} */
  const { port, interface: nic, queue } = workerData;
  const memory = await DmaBuf.allocate({ size: 64 * MiB });
  const binding = await bindRx(
    nic === undefined
      ? { memory, mode: 'copy' }
      : { memory, interface: nic, queues: [queue], mode: 'devmem' },
  );
  const server = createServer({ binding, allowHalfOpen: true }, async (socket) => {
    const hash = createHash('sha256');
    for await (const batch of socket.batches({ preventClose: true })) {
      try {
        for (const fragment of batch) hash.update(fragment.view());
      } finally {
        batch.release();
      }
    }
    socket.writable.end(hash.digest('hex'));
  });
  server.on('socketError', (error) => console.error(`a connection failed: ${String(error)}`));
  const address = await server.listen({ port });
  const { transport } = binding;
  parentPort?.postMessage({ port: address.port, transport });
  await once(/** @type {import('node:worker_threads').MessagePort} */ (parentPort), 'message');
  await server.close();
  await binding.close();
  await memory.close();
}

/** @param {number} port */
async function sendTo(port) {
  const bytes = randomBytes(8 * MiB);
  const client = net.connect({ port, host: '127.0.0.1' });
  client.end(bytes);
  const answer = Buffer.concat(await client.toArray()).toString();
  if (answer !== createHash('sha256').update(bytes).digest('hex')) throw new Error('other bytes');
  console.log(`port ${port} received ${bytes.length} bytes as they were sent`);
}

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
        port: { type: 'string' },
        workers: { type: 'string', default: '2' },
        interface: { type: 'string' },
        queues: { type: 'string' },
      },
    }).values;
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.replace(/\n[^]*/, ''));
  }
}

/**
 * What is prepared is put back before the end.
 *
 * @param {Error} error
 */
function tellOfInterface({ message }) {
  console.error(`--interface: ${message}`);
  process.exitCode = 2;
}

async function main() {
  const values = readArguments();
  const { interface: nic } = values;
  const queues = values.queues?.split(',').map((each) => numberOf('--queues', each));
  const first = numberOf('--port', values.port ?? '0');
  const count = queues?.length ?? numberOf('--workers', values.workers, 1, 1024);
  if ((nic === undefined) !== (queues === undefined) || (queues !== undefined && first === 0)) {
    refuse('--interface, --queues and --port go together');
  }
  const tasks = Array.from({ length: count }, (_, i) => ({
    port: first === 0 ? 0 : first + i,
    interface: nic,
    queue: queues?.[i] ?? 0,
  }));
  /** Interfaces as they have to be, for as long as the workers run. */
  const prepared = [];
  const workers = [];
  try {
    for (const task of tasks) {
      if (nic !== undefined) {
        const flows = [{ localPort: task.port }];
        const asked = { interface: nic, queues: [task.queue], flows };
        const interfaceState = await prepareInterface(asked).catch(tellOfInterface);
        if (interfaceState === undefined) return;
        prepared.push(interfaceState);
      }
      const worker = new Worker(new URL(import.meta.url), { workerData: task });
      workers.push(worker);
      const [news] = await once(worker, 'message');
      const { port, transport } = /** @type {{ port: number, transport: string }} */ (news);
      console.log(`worker ${workers.length} listens on port ${port}, over ${transport}`);
      if (values.port === undefined) await sendTo(port);
    }
    if (values.port !== undefined) {
      // What ends a worker ends the program.
      const failed = workers.map((worker) => once(worker, 'exit'));
      await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), ...failed]);
    }
  } finally {
    const exits = workers
      .filter(({ threadId }) => threadId !== -1)
      .map((each) => once(each, 'exit'));
    for (const worker of workers) worker.postMessage('end');
    await Promise.all(exits);
    for (const interfaceState of prepared.reverse()) await interfaceState.restore();
  }
}

await (isMainThread ? main() : receive());
