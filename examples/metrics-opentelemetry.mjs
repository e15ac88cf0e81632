// @ts-check
// Metrics by OpenTelemetry: what a receiving server counts, by @opentelemetry/sdk-metrics. Here
// they are printed; another exporter (@opentelemetry/exporter-metrics-otlp-http, …) sends them
// to a collector. Nothing is done for each connection or byte: the counters are read when the
// exporter asks.
//
//   node examples/metrics-opentelemetry.mjs    receives from itself, prints its metrics, and ends
//   node examples/metrics-opentelemetry.mjs --port 5201     every 10 s, until Ctrl-C
//   … --interface eth1 --queues 14,15          into device memory, once the interface is set up
import { once } from 'node:events';
import net from 'node:net';
import { parseArgs } from 'node:util';

import {
  ConsoleMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
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
 * @param {import('@opentelemetry/api').Meter} meter
 * @param {import('devmem-tcp').DevmemServer} server that does not listen yet
 * @param {import('devmem-tcp').Binding} binding
 */
function measure(meter, server, binding) {
  const totals = totalsOf(server);
  const received = meter.createObservableCounter('devmem_tcp.received', {
    description: 'Received: by the NIC into device memory, by way of the kernel, or copied',
    unit: 'By',
  });
  received.addCallback((result) => {
    const { deviceBytes, linearBytes, copiedBytes } = totals();
    result.observe(deviceBytes, { path: 'device' });
    result.observe(linearBytes, { path: 'linear' });
    result.observe(copiedBytes, { path: 'copied' });
  });
  meter
    .createObservableCounter('devmem_tcp.stalls', {
      description: 'Times that reading stopped because too much memory was in use',
    })
    .addCallback((result) => result.observe(totals().stalls));
  meter
    .createObservableGauge('devmem_tcp.connections', { description: 'Connections open' })
    .addCallback((result) => result.observe(server.connections.size));
  meter
    .createObservableGauge('devmem_tcp.held', { description: 'Memory in use', unit: 'By' })
    .addCallback((result) => result.observe(binding.heldBytes));
}

const reader = new PeriodicExportingMetricReader({
  exporter: new ConsoleMetricExporter(),
  exportIntervalMillis: 10_000,
});
const provider = new MeterProvider({ readers: [reader] });

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
measure(provider.getMeter('devmem-tcp'), server, binding);
const closed = once(server, 'close');
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.close());

const { port } = await server.listen({ port: askedPort });
console.log(`listening on port ${port}, over ${binding.transport}`);
if (values.port === undefined) {
  const client = net.connect({ port, host: '127.0.0.1' }).resume();
  client.end(Buffer.alloc(10 * MiB));
  await once(client, 'close');
  await server.close();
}
await closed;
// Exports what was counted last.
await provider.shutdown();
await binding.close();
await memory.close();
