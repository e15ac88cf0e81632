// @ts-check
// A sink in another process. This one receives, the other one (sink-consumer.mjs) uses the
// bytes, in the same memory: its descriptor goes over once, by a Unix-domain socket, and from then on only places
// in it. While the sink is busy with some, others are filled; when all are taken, the sender
// waits.
//
// For a sink in Python, or a tensor in a GPU's memory: serve-tensors.mjs, docs/hand-off.md.
//
//   node examples/sink.mjs                     receives from itself, and ends
//   node examples/sink.mjs --port 5201         one stream, from elsewhere
//   … --interface eth1 --queues 14,15          into device memory, once the interface is set up
import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { bindRx, createServer, DmaBuf, sendFd } from 'devmem-tcp';

const MiB = 2 ** 20;
const CONSUMER = fileURLToPath(new URL('sink-consumer.mjs', import.meta.url));
const PLACES = 4;
const PLACE_BYTES = MiB;

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
        interface: { type: 'string' },
        queues: { type: 'string', default: '' },
      },
    }).values;
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.replace(/\n[^]*/, ''));
  }
}

const values = readArguments();
const askedPort = numberOf('--port', values.port ?? '0');

/**
 * Starts the sink, which has the memory then.
 *
 * @param {DmaBuf} memory
 */
async function startSink(memory) {
  const folder = await mkdtemp(path.join(tmpdir(), 'sink-'));
  const server = net.createServer({ pauseOnConnect: true });
  try {
    server.listen(path.join(folder, 'socket'));
    await once(server, 'listening');
    const process = fork(CONSUMER, [`${folder}/socket`]);
    const [socket] = await Promise.race([once(server, 'connection'), once(process, 'exit')]);
    if (!(socket instanceof net.Socket)) throw new Error('the sink did not start');
    await sendFd(socket, memory);
    socket.destroy();
    return process;
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
}

/**
 * Has the sink use every byte of a connection.
 *
 * @param {import('devmem-tcp').DevmemSocket} socket
 * @param {import('node:child_process').ChildProcess} sink
 * @param {DmaBuf} memory PLACES of PLACE_BYTES
 */
async function pour(socket, sink, memory) {
  const failed = new AbortController();
  sink.once('exit', () => failed.abort(new Error('the sink has ended')));
  const { signal } = failed;
  const reader = socket.reader();
  let given = 0;
  let used = 0;
  sink.on('message', () => used++);
  for (;;) {
    // It uses them in the order in which they were given.
    while (given - used === PLACES) await once(sink, 'message', { signal });
    const offset = (given % PLACES) * PLACE_BYTES;
    const length = await reader.readInto(memory, { offset, length: PLACE_BYTES, signal });
    if (length > 0) sink.send({ offset, length });
    if (length > 0) given++;
    if (length < PLACE_BYTES) break;
  }
  while (used < given) await once(sink, 'message', { signal });
  return reader.position;
}

/** @param {number} port */
async function sendToMyself(port) {
  const bytes = randomBytes(24 * MiB + 5);
  const client = net.connect({ port, host: '127.0.0.1' });
  client.end(bytes);
  await client.resume().toArray();
  console.log(`sent: sha256 ${createHash('sha256').update(bytes).digest('hex')}`);
}

const { interface: nic, queues } = values;
const places = await DmaBuf.allocate({ type: 'host', size: PLACES * PLACE_BYTES });
const memory = await DmaBuf.allocate({ size: 64 * MiB });
const binding = await bindRx(
  nic === undefined
    ? { memory, mode: 'copy' }
    : {
        memory,
        interface: nic,
        queues: queues.split(',').map((each) => numberOf('--queues', each)),
      },
).catch(refuseFor('--interface'));
const sink = await startSink(places);
const server = createServer({ binding }, async (socket) => {
  const bytes = await pour(socket, sink, places);
  console.log(`the sink has used ${bytes} bytes, received over ${socket.transport}`);
  void server.close();
});
server.maxConnections = 1;
const closed = once(server, 'close');
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.close());
try {
  const { port } = await server.listen({ port: askedPort });
  console.log(`listening on port ${port}`);
  if (values.port === undefined) await sendToMyself(port);
  await closed;
} catch (error) {
  // Of a stream that did not come whole there is nothing to tell.
  sink.kill();
  throw error;
} finally {
  sink.disconnect();
  await server.close();
  await binding.close();
  await memory.close();
  await places.close();
}
