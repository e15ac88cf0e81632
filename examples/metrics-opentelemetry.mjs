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

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    interface: { type: 'string' },
    queues: { type: 'string', default: '' },
  },
});

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
    : { memory, interface: nic, queues: queues.split(',').map(Number) },
);
const server = createServer({ binding }, async (socket) => {
  for await (const batch of socket.batches({ preventClose: true })) batch.release();
});
server.on('socketError', (error) => console.error(`a connection failed: ${String(error)}`));
measure(provider.getMeter('devmem-tcp'), server, binding);
const closed = once(server, 'close');
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.close());

const { port } = await server.listen({ port: Number(values.port ?? 0) });
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
