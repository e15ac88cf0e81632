// @ts-check
// A loader for training. Batches of samples come over TCP, one behind the other, and each is
// read into one of a few contiguous tensors, ahead of the model: while it learns from one, the
// others are filled. When all are full, the sender waits.
//
// A sample is 8 float32: 7 features and what to predict. The model is a line through them,
// learnt by gradient descent, so that one sees whether the numbers arrive.
//
//   node examples/loader.mjs                   learns from itself, and ends
//   node examples/loader.mjs --connect 192.0.2.2:5201       from a server that sends samples
//   … --interface eth1 --queues 14,15          into device memory, once the interface is set up
//   … --memory cuda                            tensors on a GPU (use tensor.devicePtr there, not map())
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';

import { bindRx, connect, DmaBuf } from 'devmem-tcp';

const MiB = 2 ** 20;
const COLUMNS = 8;
const FEATURES = COLUMNS - 1;
const BATCH = 2048;
const BATCH_BYTES = BATCH * COLUMNS * Float32Array.BYTES_PER_ELEMENT;

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
        connect: { type: 'string' },
        depth: { type: 'string', default: '4' },
        memory: { type: 'string', default: 'host' },
        interface: { type: 'string' },
        queues: { type: 'string', default: '' },
      },
    }).values;
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.replace(/\n[^]*/, ''));
  }
}

const values = readArguments();

/**
 * Batches in the order of the stream. Each is the caller's until it asks for the next one;
 * then its memory is filled again. A stream that ends amid a batch was cut off: what came of
 * that batch is dropped, and the program fails.
 *
 * @param {import('devmem-tcp').DevmemSocket} socket
 * @param {DmaBuf[]} tensors as many as are to be read ahead
 * @param {AbortController} leaving ends it early
 */
async function* batches(socket, tensors, leaving) {
  const reader = socket.reader();
  const { signal } = leaving;
  // All calls are under way at once, and answered in their order.
  const fill = (/** @type {DmaBuf} */ tensor) => {
    const filled = reader.readInto(tensor, { length: BATCH_BYTES, signal });
    // It is looked at when its turn comes.
    filled.catch(() => {});
    return filled;
  };
  const filling = tensors.map(fill);
  try {
    for (let i = 0; ; i = (i + 1) % tensors.length) {
      const bytes = await filling[i];
      if (bytes !== BATCH_BYTES) {
        if (bytes) reportCutOff(bytes);
        return;
      }
      const tensor = /** @type {DmaBuf} */ (tensors[i]);
      yield tensor;
      filling[i] = fill(tensor);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    leaving.abort();
    await Promise.allSettled(filling);
    reader.releaseLock();
  }
}

/** @param {number} bytes */
function reportCutOff(bytes) {
  console.error(`the stream was cut off ${bytes} bytes into a batch of ${BATCH_BYTES}`);
  process.exitCode = 1;
}

/**
 * @param {Float64Array} weights
 * @param {Float32Array} samples
 */
function learn(weights, samples) {
  for (let at = 0; at < samples.length; at += COLUMNS) {
    const features = samples.subarray(at, at + FEATURES);
    const predicted = features.reduce((sum, x, i) => sum + x * (weights[i] ?? 0), 0);
    const error = (samples[at + FEATURES] ?? 0) - predicted;
    weights.forEach((weight, i) => (weights[i] = weight + 0.01 * error * (features[i] ?? 0)));
  }
}

/** Samples that the weights 1, 2, … 7 explain. */
function* makeSamples() {
  for (let batch = 0; batch < 32; batch++) {
    const samples = new Float32Array(BATCH * COLUMNS);
    for (let at = 0; at < samples.length; at += COLUMNS) {
      const features = Array.from({ length: FEATURES }, () => Math.random() - 0.5);
      samples.set([...features, features.reduce((sum, x, i) => sum + x * (i + 1), 0)], at);
    }
    yield new Uint8Array(samples.buffer);
  }
}

/** @returns {Promise<net.Server>} */
async function serveSamples() {
  const server = net.createServer((socket) => {
    pipeline(makeSamples, socket).catch((/** @type {unknown} */ error) =>
      console.error(`the server: ${String(error)}`),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** @param {string} text */
function placeOf(text) {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || port === undefined) {
    return refuse(`--connect takes HOST:PORT, not '${text}'`);
  }
  return { host, port: numberOf('--connect', port, 1) };
}

const asked = values.connect === undefined ? undefined : placeOf(values.connect);
const depth = numberOf('--depth', values.depth, 1, 64);
const server = asked === undefined ? await serveSamples() : undefined;
const own = /** @type {net.AddressInfo | undefined} */ (server?.address());
const from = asked ?? { host: '127.0.0.1', port: own?.port ?? 0 };
const { interface: nic, queues, memory: type } = values;
const memory = await DmaBuf.allocate({ size: 16 * MiB });
const binding = await bindRx(
  nic === undefined
    ? { memory, mode: 'copy' }
    : {
        memory,
        interface: nic,
        queues: queues.split(',').map((each) => numberOf('--queues', each)),
      },
).catch(refuseFor('--interface'));
const tensors = await Promise.all(
  Array.from({ length: depth }, () =>
    DmaBuf.allocate({ type: /** @type {'host'} */ (type), size: BATCH_BYTES }),
  ),
).catch(refuseFor('--memory'));
const leaving = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => leaving.abort());
const socket = await connect({ ...from, binding });

const weights = new Float64Array(FEATURES);
const hash = createHash('sha256');
let learnt = 0;
for await (const tensor of batches(socket, tensors, leaving)) {
  const bytes = tensor.map();
  hash.update(bytes);
  learn(weights, new Float32Array(bytes.buffer));
  learnt++;
}
console.log(`learnt from ${learnt} batches, received over ${socket.transport}`);
console.log(`weights ${[...weights].map((weight) => weight.toFixed(2)).join(' ')}`);
console.log(`sha256 ${hash.digest('hex')}`);

await socket.close();
server?.close();
await binding.close();
for (const each of [memory, ...tensors]) await each.close();
