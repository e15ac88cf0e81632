// @ts-check
// Metrics for Prometheus: what a receiving server counts, by prom-client (`npm install
// prom-client`). Nothing is done for each connection or byte: the counters are read when
// somebody asks.
//
//   node examples/metrics-prometheus.mjs       receives from itself, prints its metrics, and ends
//   node examples/metrics-prometheus.mjs --port 5201 --metrics-port 9464
//                                              until Ctrl-C; http://127.0.0.1:9464/metrics
//   … --interface eth1 --queues 14,15          into device memory, once the interface is set up
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { parseArgs } from 'node:util';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';
import { Counter, Gauge, Registry } from 'prom-client';

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
        'metrics-port': { type: 'string', default: '0' },
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
const askedMetricsPort = numberOf('--metrics-port', values['metrics-port']);

/**
 * @param {import('devmem-tcp').DevmemServer} server that does not listen yet
 * @returns what all its connections have counted by now, those that are gone too
 */
function totalsOf(server) {
  const gone = { deviceBytes: 0, linearBytes: 0, copiedBytes: 0, stalls: 0 };
  const add = (/** @type {typeof gone} */ sum, /** @type {typeof gone} */ stats) => {
    sum.deviceBytes += stats.deviceBytes;
    sum.linearBytes += stats.linearBytes;
    sum.copiedBytes += stats.copiedBytes;
    sum.stalls += stats.stalls;
  };
  server.on('connection', (/** @type {import('devmem-tcp').DevmemSocket} */ socket) => {
    socket.once('close', () => add(gone, socket.stats));
  });
  return () => {
    const sum = { ...gone };
    for (const socket of server.connections) add(sum, socket.stats);
    return sum;
  };
}

/**
 * @param {import('devmem-tcp').DevmemServer} server that does not listen yet
 * @param {import('devmem-tcp').Binding} binding
 */
function metricsOf(server, binding) {
  const totals = totalsOf(server);
  const registry = new Registry();
  const registers = [registry];
  new Counter({
    name: 'devmem_tcp_received_bytes_total',
    help: 'Bytes received: by the NIC into device memory, by way of the kernel, or copied',
    labelNames: ['path'],
    registers,
    collect() {
      const { deviceBytes, linearBytes, copiedBytes } = totals();
      this.reset();
      this.inc({ path: 'device' }, deviceBytes);
      this.inc({ path: 'linear' }, linearBytes);
      this.inc({ path: 'copied' }, copiedBytes);
    },
  });
  new Counter({
    name: 'devmem_tcp_stalls_total',
    help: 'Times that reading stopped because too much memory was in use',
    registers,
    collect() {
      this.reset();
      this.inc(totals().stalls);
    },
  });
  /** @type {[string, string, () => number][]} */
  const gauges = [
    ['connections', 'Connections open', () => server.connections.size],
    ['held_bytes', 'Bytes of the memory that are in use', () => binding.heldBytes],
    ['held_limit_bytes', 'Bytes in use at which reading stops', () => binding.heldLimit],
  ];
  for (const [name, help, read] of gauges) {
    new Gauge({
      name: `devmem_tcp_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
  return registry;
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
  for await (const batch of socket.batches({ preventClose: true })) batch.release();
});
server.on('socketError', (error) => console.error(`a connection failed: ${String(error)}`));
const registry = metricsOf(server, binding);
const metrics = http.createServer(async (request, response) => {
  if (request.url !== '/metrics') {
    response.writeHead(404).end();
    return;
  }
  try {
    const text = await registry.metrics();
    response.setHeader('content-type', registry.contentType).end(text);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
const end = () => {
  metrics.close();
  void server.close();
};
const closed = once(server, 'close');
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end);

const { port } = await server.listen({ port: askedPort });
metrics.listen(askedMetricsPort, '127.0.0.1');
await once(metrics, 'listening');
const { port: metricsPort } = /** @type {net.AddressInfo} */ (metrics.address());
const url = `http://127.0.0.1:${metricsPort}/metrics`;
console.log(`listening on port ${port}, over ${binding.transport}; metrics at ${url}`);
if (values.port === undefined) {
  const client = net.connect({ port, host: '127.0.0.1' }).resume();
  client.end(Buffer.alloc(10 * MiB));
  await once(client, 'close');
  console.log(await (await fetch(url)).text());
  end();
}
await closed;
await binding.close();
await memory.close();
