// @ts-check
// A cluster with one queue, and one port, per worker: each receives a stream and reports.
import cluster from 'node:cluster';
import { once } from 'node:events';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const FIRST_QUEUE = 1;
const FIRST_PORT = 5400;
const WORKERS = 2;

async function primary() {
  const ports = [];
  for (let i = 0; i < WORKERS; i++) {
    const worker = cluster.fork({ QUEUE: FIRST_QUEUE + i, PORT: FIRST_PORT + i });
    // An exclusive listener does not ask the primary, which so has no 'listening' event.
    await once(worker, 'message');
    worker.on('message', (message) => process.send?.(message));
    ports.push(FIRST_PORT + i);
  }
  process.send?.({ ports });
}

async function worker() {
  const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
  const queues = [Number(process.env.QUEUE)];
  const transport = /** @type {'cmsg' | 'queue' | 'zcrx'} */ (
    process.env.DEVMEM_TRANSPORT ?? 'cmsg'
  );
  const binding = await bindRx({ interface: 'dms0', queues, memory, mode: 'devmem', transport });
  const server = createServer({ binding }, async (socket) => {
    let bytes = 0;
    for await (const batch of socket.batches()) {
      bytes += batch.byteLength;
      batch.release();
    }
    const { deviceBytes, tokensTaken, tokensReturned } = socket.stats;
    process.send?.({ queue: queues[0], bytes, deviceBytes, tokensTaken, tokensReturned });
  });
  await server.listen({ host: '192.0.2.1', port: Number(process.env.PORT), exclusive: true });
  process.send?.('listening');
}

await (cluster.isPrimary ? primary() : worker());
