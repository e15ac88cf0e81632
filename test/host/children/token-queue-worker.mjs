// @ts-check
// A thread with a token queue: fragments in hand, and some that were just given back.
import { parentPort } from 'node:worker_threads';

import { makeHoarder, makeQueue, until } from '../queue/queue.mjs';

const { pool } = makeQueue();
const socket = await makeHoarder(pool);
socket.deliver(100);
await until(() => socket.kept.length === 100);
socket.receiver.releaseRange(socket.kept[0] ?? 0, 50);
parentPort?.postMessage('ready');
// As long as it may: its end is to come from without.
for (;;) socket.receiver.releaseRange(socket.kept.pop() ?? 0, 1);
