// @ts-check
import { parentPort, workerData } from 'node:worker_threads';

import { receiveWithoutEnd } from './receive-without-end.mjs';

/** @type {unknown} */
const port = workerData;
if (typeof port !== 'number') throw new TypeError('workerData has to be a port');
let told = false;
await receiveWithoutEnd(port, () => {
  if (!told) parentPort?.postMessage('flowing');
  told = true;
});
