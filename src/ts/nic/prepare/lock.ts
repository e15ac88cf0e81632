/** One change of an interface at a time, across processes. */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import { DevmemError, systemError } from '../../errors.js';
import { native } from '../../native.js';

// Changes take milliseconds to seconds, and the kernel wakes nobody for a lock that
// is asked for without waiting.
const RETRY_MS = 20;
const PATIENCE_MS = 30_000;

/**
 * Runs `body` while no other process, and nobody else in this one, holds the lock. It
 * is a flock(2): the kernel lets go of it with the process, however that ends.
 *
 * @throws DevmemError ERR_DEVMEM_LOCKED when another holds it for half a minute
 */
export async function withLock<T>(path: string, body: () => Promise<T>): Promise<T> {
  const fd = openSync(path, 'a+', 0o600);
  try {
    await acquire(fd, path);
    ftruncateSync(fd);
    writeSync(fd, String(process.pid));
    return await body();
  } finally {
    closeSync(fd);
  }
}

async function acquire(fd: number, path: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const status = native().tryLock(fd);
    if (status === 0) return;
    if (status !== -constants.errno.EAGAIN) throw systemError(status, 'flock', { subject: path });
    if (Date.now() > deadline) break;
    await delay(RETRY_MS);
  }
  throw new DevmemError(
    'ERR_DEVMEM_LOCKED',
    `Process ${readFileSync(path, 'utf8')} is changing the interface and does not finish (${path}). Wait for it, or end it`,
  );
}
