// @ts-check
// `node terminate-worker.mjs PORT STATE terminate|exit`: workers that receive, one after
// the other, each ended in the given state.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

const [port, state, how] = process.argv.slice(2);
const script = new URL('./receive-worker.mjs', import.meta.url);

for (let i = 0; i < 3; i++) {
  const exit = how === 'exit';
  const worker = new Worker(script, { workerData: { port: Number(port), state, exit } });
  const ended = once(worker, 'exit');
  if (!exit) {
    await once(worker, 'message');
    await worker.terminate();
  }
  await ended;
}
console.log('survived');
