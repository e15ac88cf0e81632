// @ts-check
// A service that answers. Records with their length in front come in, and each gets its
// SHA-256 back, framed the same way. A record is hashed where it lies: nothing is copied.
//
//   node examples/records.mjs                  talks to itself over loopback, and ends
//   node examples/records.mjs --port 5201      serves until Ctrl-C
//   … --interface eth1 --queues 14,15          receives into device memory, once the interface
//                                              is set up: `devmem-tcp nic apply --help`
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const MiB = 2 ** 20;
const LONGEST_RECORD = 4 * MiB;

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

/** @param {Uint8Array} bytes */
function framed(bytes) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** @param {import('devmem-tcp').DevmemSocket} socket */
async function* replies(socket) {
  const records = socket.reader().records({
    headerBytes: 4,
    length: (header) => new DataView(header.buffer).getUint32(0),
    limit: LONGEST_RECORD,
  });
  for await (const record of records) {
    const hash = createHash('sha256');
    try {
      for (const fragment of record) hash.update(fragment.view());
    } finally {
      record.release();
    }
    yield framed(hash.digest());
  }
}

/**
 * A client that sends records and compares what it is answered.
 *
 * @param {number} port
 */
async function talkToMyself(port) {
  const records = [0, 1, 1000, MiB, LONGEST_RECORD].map((length) => randomBytes(length));
  const client = net.connect({ port, host: '127.0.0.1' });
  client.end(Buffer.concat(records.map(framed)));
  const answer = Buffer.concat(await client.toArray());
  const digests = records.map((each) => createHash('sha256').update(each).digest());
  if (!answer.equals(Buffer.concat(digests.map(framed)))) throw new Error('a wrong answer');
  console.log(`${records.length} records were answered as they should be`);
}

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
const server = createServer({ binding }, async (socket) => {
  try {
    // Waits for clients that do not read their answers: they are not read on either.
    await pipeline(replies(socket), socket.writable);
  } catch (error) {
    // A client may be cut off, or talk nonsense; the others are served on.
    console.error(`${socket.remoteAddress}: ${/** @type {Error} */ (error).message}`);
    socket.destroy();
  }
});
const closed = once(server, 'close');
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.close());

const { port } = await server.listen({ port: askedPort });
console.log(`listening on port ${port}, over ${binding.transport}`);
if (values.port === undefined) {
  await talkToMyself(port);
  await server.close();
}
await closed;
await binding.close();
await memory.close();
