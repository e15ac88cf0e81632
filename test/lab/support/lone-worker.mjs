// @ts-check
// The worker receives and holds; the main thread, which never loads the addon,
// terminates it in the midst and ends.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

async function mainThread() {
  const worker = new Worker(new URL(import.meta.url));
  const [port] = await once(worker, 'message');
  process.send?.({ port });
  await once(worker, 'message');
  await worker.terminate();
  process.disconnect();
}

async function receiver() {
  const { bindRx, createServer, DmaBuf } = await import('devmem-tcp');
  const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
  const transport = /** @type {'cmsg' | 'queue' | 'zcrx'} */ (
    process.env.DEVMEM_TRANSPORT ?? 'cmsg'
  );
  const queues = transport === 'zcrx' ? [1] : [1, 2, 3];
  const binding = await bindRx({ interface: 'dms0', queues, memory, mode: 'devmem', transport });
  const server = createServer({ binding }, async (socket) => {
    const held = [];
    for await (const batch of socket.batches()) {
      held.push(batch);
      if (held.length === 1) parentPort?.postMessage('receiving');
    }
  });
  const { port } = await server.listen({ host: '192.0.2.1' });
  parentPort?.postMessage(port);
}

await (isMainThread ? mainThread() : receiver());
