// @ts-check
// Worker threads, each with a binding, a queue and a port of its own, two streams at once
// each; the main thread never loads the addon.
import { EventEmitter, once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const FIRST_QUEUE = 1;
const FIRST_PORT = 5500;
const WORKERS = 3;
const STREAMS = 2;

async function mainThread() {
  const ports = [];
  const exits = [];
  for (let i = 0; i < WORKERS; i++) {
    const options = { queue: FIRST_QUEUE + i, port: FIRST_PORT + i };
    const worker = new Worker(new URL(import.meta.url), { workerData: options });
    exits.push(once(worker, 'exit'));
    await once(worker, 'message');
    worker.on('message', (message) => process.send?.(message));
    ports.push(options.port);
  }
  process.send?.({ ports, streams: STREAMS });
  await Promise.all(exits);
  process.disconnect();
}

async function worker() {
  const { bindRx, createServer, DmaBuf } = await import('devmem-tcp');
  const { Pattern } = await import('../../../dist/cli/transfer/pattern.js');
  /** @type {{ queue: number, port: number }} */
  const { queue, port } = workerData;
  const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
  const transport = /** @type {'cmsg' | 'queue' | 'zcrx'} */ (
    process.env.DEVMEM_TRANSPORT ?? 'cmsg'
  );
  const options = { interface: 'dms0', queues: [queue], memory, transport };
  const binding = await bindRx({ ...options, mode: 'devmem' });
  const view = memory.map();
  const pattern = new Pattern(1);
  let open = STREAMS;
  const streams = new EventEmitter();
  const server = createServer({ binding }, async (socket) => {
    let bytes = 0;
    let firstWrong = -1;
    for await (const batch of socket.batches()) {
      batch.forEach((offset, size) => {
        const at = pattern.mismatch(bytes, view.subarray(offset, offset + size));
        if (at !== -1 && firstWrong === -1) firstWrong = bytes + at;
        bytes += size;
      });
      batch.release();
    }
    const { deviceBytes, tokensTaken, tokensReturned } = socket.stats;
    const tokensLeft = tokensTaken - tokensReturned;
    parentPort?.postMessage({ queue, bytes, firstWrong, deviceBytes, tokensLeft });
    if (--open === 0) streams.emit('over');
  });
  await server.listen({ host: '192.0.2.1', port });
  parentPort?.postMessage('listening');
  await once(streams, 'over');
  await server.close();
  await binding.close();
  await memory.close();
}

await (isMainThread ? mainThread() : worker());
