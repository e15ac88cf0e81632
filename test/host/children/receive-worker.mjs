// @ts-check
// A worker that alone loads the addon.
import { parentPort, workerData } from 'node:worker_threads';

import { receive } from './receive.mjs';

/** @type {{ port: number, state: string, exit: boolean }} */
const { port, state, exit } = workerData;

await receive(port, state, () => {
  if (exit) process.exit(0);
  parentPort?.postMessage(state);
});
