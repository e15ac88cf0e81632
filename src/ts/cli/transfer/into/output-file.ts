/** The file of `recv --into FILE`: there under its name only once it is whole. */
import { constants, type Stats } from 'node:fs';
import {
  access,
  type FileHandle,
  open,
  readlink,
  realpath,
  rename,
  rm,
  stat,
} from 'node:fs/promises';
import { constants as os } from 'node:os';
import { basename, dirname, isAbsolute, resolve } from 'node:path';

import { isSystemError, systemError } from '../../../errors.js';

export class OutputFile implements AsyncDisposable {
  /** Where the bytes are: beside the file until it is whole. */
  #path: string;
  /** Where they are to be; undefined for what is no regular file, which is written itself. */
  readonly #final: string | undefined;
  readonly #handle: FileHandle;
  #bytes = 0;
  #open = true;

  private constructor(path: string, final: string | undefined, handle: FileHandle) {
    this.#path = path;
    this.#final = final;
    this.#handle = handle;
  }

  /**
   * Replaces what has that name once the new file is whole, or what a symbolic link of that
   * name leads to; a device or a pipe is written to at once.
   *
   * @throws SystemError where it cannot be written, also because `PATH.part` exists
   */
  static async open(path: string): Promise<OutputFile> {
    const there = await failingFor(path, 'open', () => statOf(path));
    if (there !== undefined && !there.isFile()) {
      const flags = constants.O_WRONLY;
      const handle = await failingFor(path, 'open', () => open(path, flags));
      return new OutputFile(resolve(path), undefined, handle);
    }
    const final = await followed(path);
    if (there !== undefined) {
      await failingFor(path, 'open', () => access(final, constants.W_OK));
    }
    const part = `${final}.part`;
    const mode = there === undefined ? 0o666 : there.mode & 0o777;
    const handle = await failingFor(part, 'open', () => open(part, 'wx', mode));
    return new OutputFile(part, final, handle);
  }

  /** An absolute one. */
  get path(): string {
    return this.#path;
  }

  /** Bytes that it has. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws SystemError, e.g. ENOSPC where the disk is full */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const rest = bytes.subarray(at);
      const { bytesWritten } = await failingFor(this.#path, 'write', () =>
        this.#handle.write(rest),
      );
      at += bytesWritten;
      this.#bytes += bytesWritten;
    }
  }

  /** All has come: gives the file its name. */
  async complete(): Promise<void> {
    const final = this.#final;
    // A rename may reach the disk before the bytes do.
    if (final !== undefined) {
      await failingFor(this.#path, 'fdatasync', () => this.#handle.datasync());
    }
    await failingFor(this.#path, 'close', () => this.#close());
    if (final === undefined) return;
    await failingFor(final, 'rename', () => rename(this.#path, final));
    this.#path = final;
  }

  /** What came stays beside the file, unless that is nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#open) return;
    await this.#close();
    if (this.#bytes === 0 && this.#final !== undefined) await rm(this.#path, { force: true });
  }

  async #close(): Promise<void> {
    this.#open = false;
    await this.#handle.close();
  }
}

// As many as the kernel follows.
const MAX_LINKS = 40;

/**
 * The file that a path leads to, by symbolic links too, whether or not it is there yet.
 *
 * @throws SystemError ENOENT where its folder does not exist, EISDIR, ELOOP
 */
async function followed(path: string): Promise<string> {
  let at = path;
  for (let links = 0; links <= MAX_LINKS; links++) {
    // A file cannot be made by such a name.
    if (at.endsWith('/')) throw systemError(-os.errno.EISDIR, 'open', { subject: at });
    const parent = await failingFor(at, 'open', () => realpath(dirname(at)));
    const file = resolve(parent, basename(at));
    const target = await failingFor(file, 'readlink', () => targetOf(file));
    if (target === undefined) return file;
    // Not joined by words: what `..` means depends on links before it.
    at = isAbsolute(target) ? target : `${parent}/${target}`;
  }
  throw systemError(-os.errno.ELOOP, 'open', { subject: path, hint: HINTS.ELOOP });
}

function statOf(path: string): Promise<Stats | undefined> {
  return unless(['ENOENT'], stat(path));
}

/** What a symbolic link says; undefined where none is. */
function targetOf(path: string): Promise<string | undefined> {
  return unless(['ENOENT', 'EINVAL'], readlink(path));
}

/** What a call comes to; undefined where it fails by one of the codes. */
async function unless<T>(codes: readonly string[], call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isSystemError(error) && codes.includes(error.code)) return undefined;
    throw error;
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EEXIST: 'An earlier receive left it, or another one writes it: remove it, or name another file',
  ELOOP: 'A symbolic link leads back to itself: name another file',
  ENOSPC: 'What came before is there; make room, and receive anew',
};

/** What a call for a path comes to; its errors tell of the path, and what to do. */
async function failingFor<T>(path: string, syscall: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw systemError(error.errno, syscall, {
      subject: path,
      hint: HINTS[error.code],
      cause: error,
    });
  }
}
