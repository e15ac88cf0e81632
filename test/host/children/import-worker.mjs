// @ts-check
// A worker that has memory by the descriptor of another thread's, and does as it is told.
import { parentPort, workerData } from 'node:worker_threads';

import { bindRx, DmaBuf } from 'devmem-tcp';

const { fd, size } = /** @type {{ fd: number, size: number }} */ (workerData);
const memory = await DmaBuf.import({ fd, size });
const view = memory.map();

async function bind() {
  try {
    await bindRx({ memory, mode: 'copy' });
    return 'bound';
  } catch (error) {
    return /** @type {{ code: string }} */ (error).code;
  }
}

/** @typedef {[name: string, offset: number, what: number | number[]]} Told */

/** @param {Told} told */
function obey([name, offset, what]) {
  if (name === 'bind') return bind();
  if (Array.isArray(what)) {
    view.set(what, offset);
    return;
  }
  return [...view.subarray(offset, offset + what)];
}

parentPort?.on('message', async (/** @type {Told} */ told) => {
  parentPort?.postMessage(await obey(told));
});
parentPort?.postMessage('ready');
