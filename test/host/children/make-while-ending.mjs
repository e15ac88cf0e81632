// @ts-check
// Workers that make native objects after they have asked for their own end: a script goes on
// until it calls a function or loops, and Node-API takes no objects any more.
import { once } from 'node:events';
import { isMainThread, Worker } from 'node:worker_threads';

import { native } from '../../../dist/native.js';

const WORKERS = 5;
// Loaded here, too: of an addon that went with its last worker, reports name nothing.
const { NetlinkSocket } = native();

if (isMainThread) {
  for (let i = 0; i < WORKERS; i++) await once(new Worker(new URL(import.meta.url)), 'exit');
  process.stdout.write('survived\n');
} else {
  // What process.exit() calls last.
  /** @type {{ reallyExit(status: number): void }} */ (/** @type {unknown} */ (process)).reallyExit(
    0,
  );
  new NetlinkSocket();
  new NetlinkSocket();
}
