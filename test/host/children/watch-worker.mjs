// @ts-check
// `node watch-worker.mjs terminate|exit`: workers that watch a descriptor and wait for
// links to change, each ended in the midst of it.
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const how = isMainThread ? process.argv[2] : /** @type {string} */ (workerData);

async function endMany() {
  for (let i = 0; i < 3; i++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: how });
    const ended = once(worker, 'exit');
    if (how === 'terminate') {
      await once(worker, 'message');
      await worker.terminate();
    }
    await ended;
  }
  console.log('survived');
}

async function watch() {
  const { native, WATCH_READABLE } = await import('../../../dist/native.js');
  const { watchLink } = await import('../../../dist/nic/link-monitor.js');
  await watchLink(1, 'lo', () => {});
  const watcher = new (native().FdWatcher)(() => {});
  const links = native().openNetlinkGroups(0, 1);
  if (typeof links === 'number') throw new Error(`netlink: ${links}`);
  watcher.open(links.fd);
  watcher.start(WATCH_READABLE);
  if (how === 'exit') process.exit(0);
  parentPort?.postMessage('watching');
}

await (isMainThread ? endMany() : watch());
