// @ts-check
// `node strangers-worker.mjs SOCKET`: a worker, which alone has the addon, closes a descriptor
// whose close(2) waits, and ends. Prints 'alone' then, and on SIGTERM, once the thread that
// waits has ended too, 'survived'.
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

const threads = () => readdirSync('/proc/self/task').length;

const stop = once(process, 'SIGTERM');
const keepAlive = setInterval(() => {}, 2 ** 31 - 1);
const program = new URL('receive-strangers.mjs', import.meta.url);
const worker = new Worker(program, { argv: [process.argv[2], 'close'] });
await once(worker, 'exit');
const waiting = threads();
console.log('alone');
await stop;
while (threads() >= waiting) await nextTurn();
console.log('survived');
clearInterval(keepAlive);
