/** A socket to listen at: made with its mode and group, in place of a dead one, and taken away. */
import { lstatSync, unlinkSync } from 'node:fs';
import { chmod, chown, link, lstat, unlink } from 'node:fs/promises';
import path from 'node:path';

import { invalidArgValue, isSystemError, systemError } from '../errors.js';
import { native, type OwnedFd } from '../native.js';
import { Directory } from './directory.js';

/** A Unix-domain socket's file. */
export interface SocketFile {
  path: string;
  /** Permissions, e.g. 0o660: who may write to it may connect. */
  mode: number;
  /** Its group; undefined: the process's. */
  gid: number | undefined;
}

/** A socket that listens. */
export interface Listening {
  fd: OwnedFd;
  /** Where; '' without a path. */
  path: string;
  /** Takes its file away, if that is its own still. */
  remove(): Promise<void>;
  /** The same at once, where the process ends: by its path, whatever that leads to by then. */
  removeNow(): void;
}

// struct sockaddr_un has 108 bytes for a path, its end included. The last part is used
// by the folder's descriptor, too: /proc/self/fd/NUMBER/NAME.
const MAX_PATH = 107;
const MAX_NAME = 80;

// Connections that wait to be accepted; beyond them connect(2) gives EAGAIN.
const BACKLOG = 128;

// linux/errno.h
const EACCES = -13;
const EEXIST = -17;
const EADDRINUSE = -98;
const ECONNREFUSED = -111;

/**
 * Listens at the path. The socket appears there with its mode and group, so nobody else
 * can connect in between.
 *
 * @param argument - whose value the path is, for messages
 * @throws TypeError ERR_INVALID_ARG_VALUE for what is no path, or is too long
 * @throws SystemError EADDRINUSE where a process has a socket there, listening or not;
 *   EACCES where that cannot be told; EEXIST where the file is no socket; ENOENT where
 *   its folder does not exist, ENOTDIR where that is none; EACCES, EPERM of making it
 */
export async function listenAt(file: SocketFile, argument: string): Promise<Listening> {
  const name = checkPath(file.path, argument);
  const directory = await Directory.open(path.dirname(file.path));
  try {
    await removeDead(directory, name, file.path);
    const { fd, identity } = await create(directory, name, file);
    return {
      fd,
      path: file.path,
      remove: () => removeOwn(directory, name, identity),
      removeNow: () => {
        removeOwnNow(file.path, identity);
      },
    };
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Takes a socket that another process (systemd) has made and listens at.
 *
 * @throws TypeError ERR_INVALID_ARG_VALUE for any other descriptor
 */
export function listenWith(fd: number): Listening {
  const taken = native().takeListening(fd);
  if (typeof taken === 'number') {
    throw invalidArgValue(
      'options.socket.fd',
      `a Unix-domain stream socket that listens (${systemError(taken, 'getsockopt').code})`,
      fd,
    );
  }
  const place = native().unixPath(taken.fd);
  // Its file is whose it was.
  return {
    fd: taken,
    path: typeof place === 'string' ? place : '',
    remove: () => Promise.resolve(),
    removeNow: () => {},
  };
}

/** @returns its last part */
function checkPath(place: string, argument: string): string {
  const name = path.basename(place);
  // Of the abstract ones, which begin with a NUL, no file tells who may connect.
  if (name === '' || place.includes('\0')) {
    throw invalidArgValue(argument, 'the path of a file, without NUL', place);
  }
  if (Buffer.byteLength(place) > MAX_PATH || Buffer.byteLength(name) > MAX_NAME) {
    const allowed = `a path of at most ${MAX_PATH} bytes, the last part of at most ${MAX_NAME}`;
    throw invalidArgValue(argument, allowed, place);
  }
  return name;
}

interface Created {
  fd: OwnedFd;
  identity: string;
}

/** Makes the socket in a folder of its own, and gives it its place once it is complete. */
function create(directory: Directory, name: string, file: SocketFile): Promise<Created> {
  return directory.withPrivate(`${name}.`, async (folder) => {
    const made = folder.in('s');
    const fd = native().bindUnix(made);
    if (typeof fd === 'number') throw systemError(fd, 'bind', { subject: file.path });
    try {
      await chmod(made, file.mode);
      if (file.gid !== undefined) await chown(made, -1, file.gid);
      const status = native().listenUnix(fd.fd, BACKLOG);
      if (status < 0) throw systemError(status, 'listen', { subject: file.path });
      const identity = await identityAt(made);
      await publish(made, directory.in(name), file.path);
      return { fd, identity };
    } catch (error) {
      fd.close();
      throw error;
    } finally {
      await unlink(made);
    }
  });
}

// Unlike renaming, linking fails where another process has come first.
async function publish(made: string, target: string, place: string): Promise<void> {
  try {
    await link(made, target);
  } catch (error) {
    throw isSystemError(error) && error.code === 'EEXIST' ? inUse(place) : error;
  }
}

/** Takes away what a process that was killed has left behind. */
async function removeDead(directory: Directory, name: string, place: string): Promise<void> {
  const target = directory.in(name);
  const stats = await lstat(target).catch(() => undefined);
  if (stats === undefined) return;
  if (!stats.isSocket()) {
    throw systemError(EEXIST, 'bind', {
      subject: `${place} is there, and is no socket`,
      hint: 'Choose another path',
    });
  }
  if (!isDead(target, place)) throw inUse(place);
  const removed = await directory.removeIf(name, async (aside) => {
    return (await lstat(aside)).isSocket() && isDead(aside, place);
  });
  if (!removed) throw inUse(place);
}

/**
 * Whether no process has a socket bound to the file. That connections are refused does not
 * tell: so they are by one that does not listen yet, or was shut. But a datagram socket that
 * connects is told ECONNREFUSED only where there is no socket at all, whatever namespaces
 * it may be in, and EPROTOTYPE where there is one of another type.
 */
function isDead(target: string, place: string): boolean {
  const status = native().connectDatagram(target);
  if (status !== EACCES) return status === ECONNREFUSED;
  throw systemError(EACCES, 'connect', {
    subject: `whether a process has the socket at ${place}`,
    hint: 'Remove it where none has, or run as a user who may write to it',
  });
}

async function removeOwn(directory: Directory, name: string, identity: string): Promise<void> {
  const isOwn = async (place: string): Promise<boolean> => (await identityAt(place)) === identity;
  try {
    // Another's by now, perhaps: that is not touched.
    if (await isOwn(directory.in(name))) await directory.removeIf(name, isOwn);
  } catch {
    // Gone, or in a folder that may not be written to any more.
  } finally {
    await directory[Symbol.asyncDispose]();
  }
}

function removeOwnNow(place: string, identity: string): void {
  try {
    const { dev, ino } = lstatSync(place, { bigint: true });
    if (identityOf({ dev, ino }) === identity) unlinkSync(place);
  } catch {
    // Gone, or in a folder that may not be written to any more.
  }
}

const identityOf = ({ dev, ino }: { dev: bigint; ino: bigint }): string => `${dev}:${ino}`;

async function identityAt(place: string): Promise<string> {
  return identityOf(await lstat(place, { bigint: true }));
}

function inUse(place: string): Error {
  return systemError(EADDRINUSE, 'bind', {
    subject: `a process has its socket at ${place}`,
    hint: 'End it first, or choose another path',
  });
}
