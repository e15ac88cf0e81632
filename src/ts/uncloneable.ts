/**
 * For objects that belong to their thread. Structured cloning (postMessage(), workerData,
 * structuredClone()) makes a plain object of one, leaves out what is private, and says
 * nothing. But it refuses symbols: an object that has one of these as a property, or leads
 * to another that has, throws a DataCloneError that tells the symbol's description.
 *
 * (`markAsUncloneable()` of node:worker_threads is not in Node.js 20, costs a call for each
 * object, and its error does not say what to do.)
 */
// V8 shortens what has more than 128 characters.

export const MEMORY_STAYS = Symbol(
  'a DmaBuf of devmem-tcp (post its fd and size, and DmaBuf.import() them there; to another process, sendFd() it)',
);

export const CONNECTION_STAYS = Symbol(
  'an object of devmem-tcp that belongs to its thread (post offset and size of fragments, and release them once read)',
);
