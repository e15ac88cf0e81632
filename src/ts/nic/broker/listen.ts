/** A broker's socket: made with its mode and group, in place of a dead one, and taken away. */
import { once } from 'node:events';
import { chmod, chown, link, lstat, mkdtemp, rm, unlink } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';

import { invalidArgValue, isSystemError, systemError } from '../../errors.js';

/** A Unix-domain socket's file. */
export interface SocketFile {
  path: string;
  /** Permissions, e.g. 0o660: who may write to it may connect. */
  mode: number;
  /** Its group; undefined: the process's. */
  gid: number | undefined;
}

// struct sockaddr_un has 108 bytes for the path, its end included; the socket is made
// in a folder beside its place first.
const INFIX = '.XXXXXX/s';
const MAX_PATH = 107 - INFIX.length;

// Connections that wait to be accepted; beyond them connect(2) gives EAGAIN.
const BACKLOG = 128;

const EADDRINUSE = -98;

/**
 * Listens at the path. The socket appears there with its mode and group, so nobody else
 * can connect in between.
 *
 * @returns takes the file away
 * @throws SystemError EADDRINUSE where somebody listens there already, EEXIST where
 *   the file is no socket; ENOENT, EACCES, EPERM of making it
 */
export async function listenAt(server: net.Server, file: SocketFile): Promise<() => Promise<void>> {
  if (Buffer.byteLength(file.path) > MAX_PATH) {
    throw invalidArgValue('options.socket', `a path of at most ${MAX_PATH} bytes`, file.path);
  }
  await removeDead(file.path);
  const folder = await mkdtemp(`${file.path}.`);
  const made = path.join(folder, 's');
  try {
    const listening = once(server, 'listening');
    server.listen({ path: made, backlog: BACKLOG });
    await listening;
    await chmod(made, file.mode);
    if (file.gid !== undefined) await chown(made, -1, file.gid);
    // Unlike renaming, this fails where another broker has come first.
    await link(made, file.path);
  } catch (error) {
    server.close();
    throw isSystemError(error) && error.code === 'EEXIST' ? inUse(file.path) : error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const { ino } = await lstat(file.path);
  return async () => {
    // Another's by now, perhaps.
    const now = await lstat(file.path).catch(() => undefined);
    if (now?.ino === ino) await unlink(file.path).catch(() => {});
  };
}

// A broker that was killed leaves its file behind, to which nobody listens.
async function removeDead(place: string): Promise<void> {
  const stats = await lstat(place).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw systemError(-17, 'bind', {
      subject: `${place} is there, and is no socket`,
      hint: 'Choose another path',
    });
  }
  const probe = net.connect(place);
  try {
    await once(probe, 'connect');
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ECONNREFUSED') throw inUse(place);
    await unlink(place);
    return;
  } finally {
    probe.destroy();
  }
  throw inUse(place);
}

function inUse(place: string): Error {
  return systemError(EADDRINUSE, 'bind', {
    subject: `a broker listens at ${place}`,
    hint: 'End it first, or choose another path',
  });
}
