// @ts-check
// Workers that do nothing but call the addon, each terminated in the midst of it.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const WORKERS = 30;

async function terminateMany() {
  for (let i = 0; i < WORKERS; i++) {
    const worker = new Worker(new URL(import.meta.url));
    await once(worker, 'message');
    await worker.terminate();
  }
  process.stdout.write('survived\n');
}

async function callForEver() {
  const { DmaBuf } = await import('devmem-tcp');
  const memory = await DmaBuf.allocate({ type: 'host', size: 64 * 1024 });
  memory.read(0, 1);
  parentPort?.postMessage('calling');
  for (;;) memory.read(0, 1);
}

await (isMainThread ? terminateMany() : callForEver());
