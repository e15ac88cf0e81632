// @ts-check
// Workers that do nothing but call the addon, each terminated in the midst of it.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const WORKERS = 30;

async function terminateMany() {
  for (let i = 0; i < WORKERS; i++) {
    const worker = new Worker(new URL(import.meta.url), { argv: [name] });
    await once(worker, 'message');
    await worker.terminate();
  }
  process.stdout.write('survived\n');
}

/** @type {Record<string, () => Promise<() => void>>} */
const calls = {
  async 'a buffer'() {
    const { DmaBuf } = await import('../../../dist/index.js');
    const memory = await DmaBuf.allocate({ type: 'host', size: 64 * 1024 });
    return () => memory.read(0, 1);
  },
  // Of a descriptor that is none, so that the work behind it is done at once.
  async 'a promise'() {
    const { native } = await import('../../../dist/native.js');
    const none = /** @type {import('../../../dist/native.js').OwnedFd} */ (
      /** @type {unknown} */ (undefined)
    );
    return () => void native().allocatePages(none, 0);
  },
};

/** @param {string} name */
async function callForEver(name) {
  const call = await calls[name]?.();
  if (call === undefined) throw new Error(`nothing to call for '${name}'`);
  call();
  parentPort?.postMessage('calling');
  for (;;) call();
}

const name = process.argv[2] ?? '';
await (isMainThread ? terminateMany() : callForEver(name));
