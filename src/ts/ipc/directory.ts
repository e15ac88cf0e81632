/**
 * A folder by its descriptor: it stays the same, whatever its path leads to by then, and
 * no symbolic link in its place is followed.
 */
import { existsSync } from 'node:fs';
import {
  constants,
  type FileHandle,
  link,
  mkdtemp,
  open,
  rename,
  rmdir,
  unlink,
} from 'node:fs/promises';
import path from 'node:path';

import { isSystemError, type SystemError, systemError } from '../errors.js';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;

const DESCRIPTORS = '/proc/self/fd';

// linux/errno.h
const ENOENT = -2;
const EAGAIN = -11;
const ENOTDIR = -20;

const NO_FOLDER: ReadonlyMap<number, string> = new Map([
  [ENOENT, 'does not exist'],
  [ENOTDIR, 'is none'],
]);

export class Directory implements AsyncDisposable {
  readonly #handle: FileHandle;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** @throws SystemError ENOENT, ENOTDIR, EACCES */
  static async open(place: string): Promise<Directory> {
    if (!existsSync(DESCRIPTORS)) {
      throw systemError(ENOENT, 'open', { subject: DESCRIPTORS, hint: 'Mount /proc' });
    }
    try {
      return new Directory(await open(place, O_RDONLY | O_DIRECTORY));
    } catch (error) {
      throw isSystemError(error) ? noFolder(place, error) : error;
    }
  }

  /** The path of a file in it, which only this process can use. */
  in(name: string): string {
    return `${DESCRIPTORS}/${this.#handle.fd}/${name}`;
  }

  /**
   * Makes a folder in it that is this user's alone, gives that to the callback, and
   * removes it, empty again, in the end.
   */
  async withPrivate<T>(prefix: string, use: (folder: Directory) => Promise<T>): Promise<T> {
    const made = await mkdtemp(this.in(prefix));
    const name = path.basename(made);
    try {
      await using folder = await this.#openPrivate(name);
      return await use(folder);
    } finally {
      await rmdir(this.in(name)).catch(() => {});
    }
  }

  /**
   * Removes a file, if it may go. It is looked at once it is out of the way, since what a
   * name leads to can change between a look and its removal; what must stay is put back.
   *
   * @returns whether it was removed
   */
  async removeIf(name: string, mayGo: (place: string) => Promise<boolean>): Promise<boolean> {
    return this.withPrivate(`${name}.`, async (folder) => {
      const aside = folder.in('s');
      await rename(this.in(name), aside);
      if (await mayGo(aside)) {
        await unlink(aside);
        return true;
      }
      await putBack(aside, this.in(name));
      return false;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }

  // Whoever may write to this folder can put another one in its place meanwhile.
  async #openPrivate(name: string): Promise<Directory> {
    const handle = await open(this.in(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const { uid, mode } = await handle.stat();
    if (uid === process.geteuid?.() && (mode & 0o077) === 0) return new Directory(handle);
    await handle.close();
    throw systemError(EAGAIN, 'mkdtemp', {
      subject: `${name} was replaced by somebody else's`,
      hint: 'Choose a folder that only this user can write to',
    });
  }
}

/** The error in words, where it is that there is no such folder. */
function noFolder(place: string, error: SystemError): SystemError {
  const why = NO_FOLDER.get(error.errno);
  if (why === undefined) return error;
  return systemError(error.errno, 'open', {
    subject: `the folder ${place} ${why}`,
    hint: 'Make it first, or choose another path',
    cause: error,
  });
}

// Not over what came there meanwhile: then it stays where it is, since it is not ours.
// Another user's file may not be linked (fs.protected_hardlinks), only moved.
async function putBack(aside: string, place: string): Promise<void> {
  try {
    await link(aside, place);
    await unlink(aside);
  } catch {
    if (!existsSync(place)) await rename(aside, place);
  }
}
