// @ts-check
// Receives tensors over TCP and hands them on to another process, which sees them in the memory
// itself: examples/receive_tensors.py. A consumer that fails is told of on stderr, and the next
// one to connect gets the tensors that it had not acknowledged, and those behind them, in order.
//
//   node examples/serve-tensors.mjs SOCKET [--memory host|udmabuf|cuda]
//                                        [--port PORT] [--interface IF --queues N,N]
//
// Without --port it sends a few tensors to itself, over loopback. In the stream each tensor is
// 4 bytes with the length of a JSON object, in network byte order, that object ({ dtype,
// shape, length }), and `length` bytes.
import { on, once } from 'node:events';
import { rmSync, statSync } from 'node:fs';
import net from 'node:net';
import { parseArgs } from 'node:util';
import { crc32 } from 'node:zlib';

import { bindRx, createServer, DmaBuf, handOff } from 'devmem-tcp';

/**
 * @typedef {import('devmem-tcp').DevmemSocket} DevmemSocket
 * @typedef {import('devmem-tcp').HandOffOptions} HandOffOptions
 * @typedef {{ dtype: import('devmem-tcp').ElementType, shape: number[], length: number }} Header
 * @typedef {{ tensor: HandOffOptions, resolve: () => void, reject: (error: Error) => void }} Delivery
 */

const MiB = 2 ** 20;
// The longest tensor, and how many are with the consumer at a time.
const PLACE_BYTES = 4 * MiB;
const PLACES = 4;
// What tells of a consumer that is gone, or is none. All else is a fault of this program.
const LOST = ['ERR_DEVMEM_CONSUMER_LOST', 'ERR_DEVMEM_BAD_MESSAGE', 'ERR_DEVMEM_SOCKET_STATE'];

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
      allowPositionals: true,
      options: {
        memory: { type: 'string', default: 'host' },
        port: { type: 'string' },
        interface: { type: 'string' },
        queues: { type: 'string', default: '' },
      },
    });
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.replace(/\n[^]*/, ''));
  }
}

const { values, positionals } = readArguments();
const [path, ...more] = positionals;
if (path === undefined || more.length > 0) refuse('usage: serve-tensors.mjs SOCKET [--port PORT]');
const askedPort = numberOf('--port', values.port ?? '0');

/**
 * @param {unknown} error
 * @returns {never}
 */
function fail(error) {
  console.error(/** @type {Error} */ (error).message);
  process.exit(1);
}

/**
 * Consumers in the order in which they connected: one at a time, until it fails. Each gets the
 * tensors in the order of the stream, from the first that no other was done with.
 */
class Consumers {
  #arrivals;
  #memory;
  /** @type {Set<Delivery>} In the order of the stream. */
  #undone = new Set();
  /** @type {net.Socket | undefined} */
  #current;
  /** @type {Set<Promise<void>>} To the current one. */
  #handOffs = new Set();

  /**
   * @param {net.Server} listener
   * @param {DmaBuf} memory where the tensors are
   */
  constructor(listener, memory) {
    this.#arrivals = on(listener, 'connection');
    this.#memory = memory;
  }

  /** Waits for the next one to connect. */
  async meet() {
    console.log(`waiting for a consumer at ${path}`);
    const { value } = await this.#arrivals.next();
    const [consumer] = /** @type {[net.Socket]} */ (value);
    // handOff() tells of it.
    consumer.on('error', () => {});
    this.#current = consumer;
    this.#handOffs = new Set();
    for (const delivery of this.#undone) void this.#handOn(consumer, delivery);
  }

  /**
   * Resolves once a consumer is done with the tensor, however many fail before.
   *
   * @param {HandOffOptions} tensor
   * @returns {Promise<void>}
   */
  deliver(tensor) {
    return new Promise((resolve, reject) => {
      const delivery = { tensor, resolve, reject };
      this.#undone.add(delivery);
      if (this.#current !== undefined) void this.#handOn(this.#current, delivery);
    });
  }

  /**
   * @param {net.Socket} consumer
   * @param {Delivery} delivery
   */
  async #handOn(consumer, delivery) {
    const handedOff = handOff(consumer, this.#memory, delivery.tensor);
    this.#handOffs.add(handedOff);
    try {
      await handedOff;
      this.#handOffs.delete(handedOff);
      this.#undone.delete(delivery);
      delivery.resolve();
    } catch (reason) {
      const error = /** @type {import('devmem-tcp').DevmemError} */ (reason);
      if (!LOST.includes(error.code)) delivery.reject(error);
      else if (consumer === this.#current) await this.#replace(consumer, error);
    }
  }

  /**
   * @param {net.Socket} consumer
   * @param {import('devmem-tcp').DevmemError} error
   */
  async #replace(consumer, { code, message }) {
    console.error(`the consumer failed: ${code}: ${message}`);
    this.#current = undefined;
    // What it acknowledged before is yet to be read.
    await Promise.allSettled(this.#handOffs);
    consumer.destroy();
    await this.meet();
  }

  /** Resolves once the consumer has closed what it opened. */
  async end() {
    const consumer = this.#current;
    if (consumer === undefined || consumer.destroyed) return;
    const closed = new Promise((resolve) => consumer.once('close', resolve));
    consumer.end();
    consumer.resume();
    await closed;
  }
}

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
 * Has consumers get every tensor of a connection.
 *
 * @param {DevmemSocket} socket
 * @param {Consumers} consumers
 * @param {DmaBuf} tensors
 */
async function serve(socket, consumers, tensors) {
  const places = new Places();
  const reader = socket.reader();
  const underWay = [];
  while ((await reader.peek(1)).length > 0) {
    const size = Buffer.from(await reader.read(4)).readUInt32BE();
    const text = Buffer.from(await reader.read(size)).toString();
    const { dtype, shape, length } = /** @type {Header} */ (JSON.parse(text));
    if (length > PLACE_BYTES) throw new Error(`a tensor of ${length} bytes`);
    const offset = await places.take();
    const bytes = await reader.readInto(tensors, { offset, length });
    if (bytes < length) throw new Error(`the stream was cut off ${bytes} bytes into a tensor`);
    const checksum = crc32(tensors.read(offset, length)).toString(16).padStart(8, '0');
    console.log(`${dtype} [${shape.join(', ')}], crc32 ${checksum}`);
    // The place is received into again once the consumer is done with it.
    const handed = consumers.deliver({ offset, dtype, shape });
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

/**
 * Removes the socket of a program that was killed.
 *
 * @param {string} path
 */
async function removeLeftover(path) {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const probe = net.connect(path);
  try {
    await once(probe, 'connect');
  } catch (error) {
    // Nobody listens there any more.
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ECONNREFUSED') rmSync(path);
  } finally {
    probe.destroy();
  }
}

/** @param {string} path */
async function listenForConsumers(path) {
  await removeLeftover(path);
  // Paused, or Node would read what is for handOff().
  const listener = net.createServer({ pauseOnConnect: true }).listen(path);
  await once(listener, 'listening').catch(fail);
  // Which removes the socket, however the program ends.
  process.once('exit', () => listener.close());
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit());
  return listener;
}

const type = /** @type {import('devmem-tcp').MemoryType} */ (values.memory);
const tensors = await DmaBuf.allocate({ type, size: PLACES * PLACE_BYTES }).catch(
  refuseFor('--memory'),
);
const memory = await DmaBuf.allocate({ size: 64 * MiB });
const { interface: nic, queues } = values;
const binding = await bindRx(
  nic === undefined
    ? { memory, mode: 'copy' }
    : {
        memory,
        interface: nic,
        queues: queues.split(',').map((each) => numberOf('--queues', each)),
      },
).catch(refuseFor('--interface'));
const listener = await listenForConsumers(path);
const consumers = new Consumers(listener, tensors);

const server = createServer({ binding }, async (socket) => {
  await serve(socket, consumers, tensors);
  console.log(`the end, over ${socket.transport}`);
  void server.close();
});
server.maxConnections = 1;
const closed = once(server, 'close');
closed.catch(() => {});
const { port } = await server.listen({ port: askedPort }).catch(fail);
console.log(`listening on port ${port}`);
await consumers.meet();
if (values.port === undefined) await sendToMyself(port);
await closed;

// A GPU's memory has to stay until the consumer has closed what it opened, as the end of the
// connection tells.
await consumers.end();
listener.close();
await binding.close();
await memory.close();
await tensors.close();
