// @ts-check
// A cluster: several processes serve, and one that dies is replaced. A client gets the SHA-256
// of what it has sent, and the number of the process that received it.
//
// Where bytes are copied, all processes share one port. A NIC has each of them receive on a
// queue and a port of its own: packets go to the queue that the port is steered to, whichever
// process has accepted the connection.
//
//   node examples/cluster.mjs                  two processes that copy; sends to them, and ends
//   node examples/cluster.mjs --port 5201 --processes 4     until Ctrl-C
//   … --interface eth1 --queues 14,15          one queue each, on ports 5201 and 5202, once those
//                                              are steered to them: `devmem-tcp nic apply --help`
import cluster from 'node:cluster';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { parseArgs } from 'node:util';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

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
        port: { type: 'string' },
        processes: { type: 'string', default: '2' },
        interface: { type: 'string' },
        queues: { type: 'string' },
      },
    }).values;
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.replace(/\n[^]*/, ''));
  }
}

const values = readArguments();
const firstPort = numberOf('--port', values.port ?? '0');
const processes = numberOf('--processes', values.processes, 1, 1024);
const queues = values.queues?.split(',').map((each) => numberOf('--queues', each)) ?? [];
if ((values.interface === undefined) !== (queues.length === 0)) {
  refuse('--interface and --queues go together');
}

/** What each process does. */
async function serve() {
  const { QUEUE: queue, PORT: port } = process.env;
  const { interface: nic } = values;
  const memory = await DmaBuf.allocate({ size: 64 * MiB });
  const binding = await bindRx(
    nic === undefined
      ? { memory, mode: 'copy' }
      : { memory, interface: nic, queues: [Number(queue)], mode: 'devmem' },
  ).catch(refuseFor('--interface'));
  const server = createServer({ binding, allowHalfOpen: true }, async (socket) => {
    const hash = createHash('sha256');
    for await (const batch of socket.batches({ preventClose: true })) {
      try {
        for (const fragment of batch) hash.update(fragment.view());
      } finally {
        batch.release();
      }
    }
    socket.writable.end(`${hash.digest('hex')} ${process.pid}`);
  });
  server.on('socketError', (error) => console.error(`a connection failed: ${String(error)}`));
  const address = await server.listen({ port: Number(port), exclusive: nic !== undefined });
  process.send?.({ port: address.port, transport: binding.transport });
  // Ctrl-C goes to all processes of a terminal: the primary says when to end.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => {});
  await once(process, 'disconnect');
  await server.close();
  await binding.close();
  await memory.close();
}

/** @param {number} port */
async function sendTo(port) {
  const bytes = randomBytes(8 * MiB);
  const client = net.connect({ port, host: '127.0.0.1' });
  client.end(bytes);
  const [digest, pid] = Buffer.concat(await client.toArray())
    .toString()
    .split(' ');
  if (digest !== createHash('sha256').update(bytes).digest('hex')) throw new Error('other bytes');
  console.log(`process ${pid} received ${bytes.length} bytes as they were sent`);
}

async function primary() {
  const count = queues.length === 0 ? processes : queues.length;
  let ending = false;

  /** @param {number} index */
  async function start(index) {
    const port = values.interface === undefined ? firstPort : firstPort + index;
    const worker = cluster.fork({ QUEUE: queues[index], PORT: port });
    const { pid } = worker.process;
    const [news] = await Promise.race([once(worker, 'message'), once(worker, 'exit')]);
    // It has told why.
    if (typeof news !== 'object' || news === null) process.exit(Number(news) || 1);
    const serving = /** @type {{ port: number, transport: string }} */ (news);
    worker.once('exit', (status, signal) => {
      if (ending) return;
      console.error(`process ${pid} ended: ${signal || `status ${status}`}`);
      void start(index);
    });
    console.log(`process ${pid} serves port ${serving.port}, over ${serving.transport}`);
    return serving.port;
  }

  const ports = [];
  for (let i = 0; i < count; i++) ports.push(await start(i));
  if (values.port === undefined) for (const port of ports) await sendTo(port);
  else await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  ending = true;
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  const exits = workers.map((worker) => once(worker, 'exit'));
  for (const worker of workers) worker.disconnect();
  await Promise.all(exits);
}

await (cluster.isPrimary ? primary() : serve());
