// @ts-check
// `node map-huge.mjs SIZE`: maps memory of that size (which takes none, as long as nothing
// is written), by the class and by the native mapping below it, and prints what came.
import { setImmediate as nextTurn } from 'node:timers/promises';

import { DmaBuf } from '../../../dist/index.js';

import { native } from '../../../dist/native.js';

const size = Number(process.argv[2]);

/** @param {() => Uint8Array | ArrayBuffer | undefined} map */
function outcomeOf(map) {
  try {
    return map()?.byteLength;
  } catch (error) {
    const { name, code, message } = /** @type {Error & { code: string }} */ (error);
    return { name, code, message };
  }
}

/** The mapping below the class, which leaves the refusal to the engine. */
function mapNative() {
  const file = native().memfdCreate('huge', size, 0);
  if (typeof file === 'number') throw new Error(`memfd_create: ${file}`);
  const mapping = native().mapFd(file, size);
  if (typeof mapping === 'number') throw new Error(`mmap: ${mapping}`);
  file.close();
  return mapping;
}

const memory = await DmaBuf.allocate({ type: 'host', size });
const mapping = mapNative();
const outcomes = {
  map: outcomeOf(() => memory.map()),
  native: outcomeOf(() => mapping.buffer()),
  again: outcomeOf(() => mapping.buffer()),
  read: outcomeOf(() => memory.read(0, size)),
  last: outcomeOf(() => memory.read(size - 8, 8)),
};
await memory.close();
// Node may finalise what it could not make.
for (let turn = 0; turn < 5; turn++) await nextTurn();
console.log(JSON.stringify(outcomes));
