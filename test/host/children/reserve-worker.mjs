// @ts-check
// A worker that reserves the memory of a descriptor and settles, as it is told.
import { parentPort } from 'node:worker_threads';

import { ownershipOf, reserve, settle } from '../../../dist/memory/ownership.js';

const user = { usesMemory: true };

/** @typedef {{ command: 'reserve' | 'settle', fd: number }} Told */

/** @param {Told} told */
function obey({ command, fd }) {
  const memory = { ownership: ownershipOf(fd) };
  user.usesMemory = command === 'reserve';
  if (command === 'settle') {
    settle(memory, user);
    return 'settled';
  }
  try {
    reserve(memory, user);
    return 'reserved';
  } catch (error) {
    return /** @type {{ code: string }} */ (error).code;
  }
}

parentPort?.on('message', (/** @type {Told} */ told) => parentPort?.postMessage(obey(told)));
