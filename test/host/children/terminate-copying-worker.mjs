// @ts-check
// Workers that copy a stream to an array or to memory, each terminated in the midst of it.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const WORKERS = 20;
const MiB = 2 ** 20;

const [, , port = '', what = ''] = process.argv;

async function terminateMany() {
  for (let i = 0; i < WORKERS; i++) {
    const worker = new Worker(new URL(import.meta.url), { argv: [port, what] });
    await once(worker, 'message');
    await worker.terminate();
  }
  process.stdout.write('survived\n');
}

async function copyForEver() {
  const { bindRx, connect, DmaBuf } = await import('devmem-tcp');
  const memory = await DmaBuf.allocate({ type: 'host', size: 4 * MiB });
  const binding = await bindRx({ memory, mode: 'copy' });
  const socket = await connect({ binding, port: Number(port), host: '127.0.0.1' });
  const target =
    what === 'an array'
      ? new Uint8Array(16 * MiB)
      : await DmaBuf.allocate({ type: 'host', size: 16 * MiB });
  socket.writable.write('go');
  const reader = socket.reader();
  for (let call = 0; ; call++) {
    // Some of it is there before.
    if (call % 2 === 0) await reader.peek(MiB);
    const copied = reader.readInto(target, { length: 3 * MiB });
    if (call === 3) parentPort?.postMessage('copying');
    await copied;
  }
}

await (isMainThread ? terminateMany() : copyForEver());
