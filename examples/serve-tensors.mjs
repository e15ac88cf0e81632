// @ts-check
// Receives tensors over TCP and hands them on to another process, which sees them in the memory
// itself: examples/receive_tensors.py.
//
//   node examples/serve-tensors.mjs SOCKET [--memory host|udmabuf|cuda]
//                                        [--port PORT] [--interface IF --queues N,N]
//
// Without --port it sends a few tensors to itself, over loopback. In the stream each tensor is
// 4 bytes with the length of a JSON object, in network byte order, that object ({ dtype,
// shape, length }), and `length` bytes.
import { once } from 'node:events';
import net from 'node:net';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';

import { bindRx, createServer, DmaBuf, handOff } from 'devmem-tcp';

/**
 * @typedef {import('devmem-tcp').DevmemSocket} DevmemSocket
 * @typedef {{ dtype: import('devmem-tcp').ElementType, shape: number[], length: number }} Header
 */

const MiB = 2 ** 20;
// The longest tensor, and how many are with the consumer at a time.
const PLACE_BYTES = 4 * MiB;
const PLACES = 4;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    memory: { type: 'string', default: 'host' },
    port: { type: 'string' },
    interface: { type: 'string' },
    queues: { type: 'string' },
  },
});
const [path] = positionals;
if (path === undefined) throw new Error('usage: serve-tensors.mjs SOCKET [--port PORT]');

/** Places for tensors in one memory. */
class Places {
  #free = Array.from({ length: PLACES }, (_, i) => i * PLACE_BYTES);
  /** @type {((offset: number) => void)[]} */
  #waiting = [];

  /** @returns {Promise<number>} an offset, once one is free */
  take() {
    const offset = this.#free.pop();
    if (offset !== undefined) return Promise.resolve(offset);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** @param {number} offset */
  give(offset) {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(offset);
    else next(offset);
  }
}

/**
 * Has the consumer get every tensor of a connection.
 *
 * @param {DevmemSocket} socket
 * @param {net.Socket} consumer
 * @param {DmaBuf} tensors
 */
async function serve(socket, consumer, tensors) {
  const places = new Places();
  const reader = socket.reader();
  const underWay = [];
  while ((await reader.peek(1)).length > 0) {
    const size = Buffer.from(await reader.read(4)).readUInt32BE();
    const text = Buffer.from(await reader.read(size)).toString();
    const { dtype, shape, length } = /** @type {Header} */ (JSON.parse(text));
    if (length > PLACE_BYTES) throw new Error(`a tensor of ${length} bytes`);
    const offset = await places.take();
    await reader.readInto(tensors, { offset, length });
    const checksum = crc32(tensors.read(offset, length)).toString(16).padStart(8, '0');
    console.log(`${dtype} [${shape.join(', ')}], crc32 ${checksum}`);
    // The place is received into again once the consumer is done with it.
    const handed = handOff(consumer, tensors, { offset, dtype, shape });
    underWay.push(handed.then(() => places.give(offset)));
  }
  await Promise.all(underWay);
}

/** @param {number} port */
async function sendToMyself(port) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  for (let i = 1; i <= 8; i++) {
    const numbers = Float32Array.from({ length: i * 1024 * 100 }, (_, n) => n / i);
    const header = { dtype: 'float32', shape: [i, 1024, 100], length: numbers.byteLength };
    const text = Buffer.from(JSON.stringify(header));
    const size = Buffer.alloc(4);
    size.writeUInt32BE(text.length);
    for (const piece of [size, text, Buffer.from(numbers.buffer)]) socket.write(piece);
  }
  socket.end();
  await once(socket, 'close');
}

/** @returns {Promise<[net.Socket, net.Server]>} */
async function waitForConsumer() {
  // Paused, or Node would read what is for handOff().
  const listener = net.createServer({ pauseOnConnect: true }).listen(path);
  await once(listener, 'listening');
  console.log(`waiting for a consumer at ${path}`);
  const [consumer] = await once(listener, 'connection');
  return [consumer, listener];
}

const type = /** @type {import('devmem-tcp').MemoryType} */ (values.memory);
const tensors = await DmaBuf.allocate({ type, size: PLACES * PLACE_BYTES });
const memory = await DmaBuf.allocate({ size: 64 * MiB });
const { interface: nic, queues = '' } = values;
const binding = await bindRx(
  nic === undefined
    ? { memory, mode: 'copy' }
    : { memory, interface: nic, queues: queues.split(',').map(Number) },
);
const [consumer, listener] = await waitForConsumer();

const server = createServer({ binding }, async (socket) => {
  await serve(socket, consumer, tensors);
  console.log(`the end, over ${socket.transport}`);
  void server.close();
});
const closed = once(server, 'close');
const { port } = await server.listen({ port: Number(values.port ?? 0) });
if (values.port === undefined) await sendToMyself(port);
await closed;

// A GPU's memory has to stay until the consumer has closed what it opened, as the end of the
// connection tells.
consumer.end();
consumer.resume();
await once(consumer, 'close');
listener.close();
await binding.close();
await memory.close();
await tensors.close();
