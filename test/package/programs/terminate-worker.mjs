// @ts-check
/** Ends the only thread that has loaded the addon while it receives. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { serveWithoutEnd } from './endless.mjs';

const server = await serveWithoutEnd();
const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: server.port });
await once(worker, 'message');
await worker.terminate();
server.close();
process.stdout.write('terminated\n');
