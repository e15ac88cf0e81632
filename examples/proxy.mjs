// @ts-check
// A proxy: what a client sends goes on to a server, and what that answers goes back. Both
// directions are received as fragments and written from where they lie, which is given back
// once it was sent: the slower end holds the faster one up, with no queue between them.
//
//   node examples/proxy.mjs                                 before an echo server of its own
//   node examples/proxy.mjs --port 5201 --upstream 192.0.2.2:7      until Ctrl-C
//   … --interface eth1 --queues 14,15          into device memory, once the interface is set up
//                                              for clients (--listen) and server (--connect):
//                                              `devmem-tcp nic apply --help`
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { parseArgs } from 'node:util';

import { bindRx, connect, createServer, DmaBuf } from 'devmem-tcp';

/** @typedef {import('devmem-tcp').DevmemSocket} DevmemSocket */

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
        upstream: { type: 'string' },
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
 * Resolves once the kernel has taken all pieces.
 *
 * @param {import('node:stream').Writable} writable
 * @param {Uint8Array[]} pieces
 */
async function write(writable, pieces) {
  writable.cork();
  const written = pieces.map(
    (piece) =>
      new Promise((resolve, reject) => {
        writable.write(piece, (error) => (error ? reject(error) : resolve(undefined)));
      }),
  );
  writable.uncork();
  await Promise.all(written);
}

/**
 * Everything that comes from one connection goes to another one, and so does its end.
 *
 * @param {DevmemSocket} from
 * @param {DevmemSocket} to
 */
async function forward(from, to) {
  for await (const batch of from.batches({ preventClose: true })) {
    try {
      await write(
        to.writable,
        Array.from(batch, (fragment) => fragment.view()),
      );
    } finally {
      batch.release();
    }
  }
  to.writable.end();
}

/**
 * @param {DevmemSocket} client
 * @param {{ host: string, port: number }} upstream
 */
async function join(client, upstream) {
  /** @type {DevmemSocket | undefined} */
  let server;
  try {
    server = await connect({ ...upstream, binding, allowHalfOpen: true });
    await Promise.all([forward(client, server), forward(server, client)]);
    await server.close();
  } catch (error) {
    console.error(`${client.remoteAddress}: ${/** @type {Error} */ (error).message}`);
    // Neither end is to take the stream for complete.
    server?.destroy();
    client.destroy();
  }
}

/** @returns {Promise<net.Server>} */
async function startEcho() {
  const echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.pipe(socket).on('error', () => {});
  });
  echo.listen(0, '127.0.0.1');
  await once(echo, 'listening');
  return echo;
}

/** @param {number} port */
async function talkToMyself(port) {
  const bytes = randomBytes(32 * MiB);
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  client.end(bytes);
  const echoed = Buffer.concat(await client.toArray());
  if (!echoed.equals(bytes)) throw new Error('other bytes came back');
  console.log(`${echoed.length} bytes came back as they were sent`);
}

/** @param {string} text */
function placeOf(text) {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || port === undefined) {
    return refuse(`--upstream takes HOST:PORT, not '${text}'`);
  }
  return { host, port: numberOf('--upstream', port, 1) };
}

const asked = values.upstream === undefined ? undefined : placeOf(values.upstream);
const echo = asked === undefined ? await startEcho() : undefined;
const own = /** @type {net.AddressInfo | undefined} */ (echo?.address());
const upstream = asked ?? { host: '127.0.0.1', port: own?.port ?? 0 };

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
const proxy = createServer({ binding, allowHalfOpen: true }, (client) => join(client, upstream));
const closed = once(proxy, 'close');
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void proxy.close());

const { port } = await proxy.listen({ port: askedPort });
console.log(`listening on port ${port}, over ${binding.transport}`);
if (values.port === undefined) {
  await talkToMyself(port);
  await proxy.close();
}
await closed;
echo?.close();
await binding.close();
await memory.close();
