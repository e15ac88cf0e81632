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

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    interface: { type: 'string' },
    queues: { type: 'string', default: '' },
  },
});

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
    : { memory, interface: nic, queues: queues.split(',').map(Number) },
);
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

const { port } = await server.listen({ port: Number(values.port ?? 0) });
console.log(`listening on port ${port}, over ${binding.transport}`);
if (values.port === undefined) {
  await talkToMyself(port);
  await server.close();
}
await closed;
await binding.close();
await memory.close();
