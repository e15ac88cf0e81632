/** The file of `recv --into FILE`: there under its name only once it is whole. */
import { constants, type Stats } from 'node:fs';
import { access, type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';

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
   * Replaces what has that name once the new file is whole; a device or a pipe is written to
   * at once.
   *
   * @throws SystemError where it cannot be written, also because `PATH.part` exists
   */
  static async open(path: string): Promise<OutputFile> {
    const there = await failingFor(path, 'open', () => statOf(path));
    if (there !== undefined && !there.isFile()) {
      const flags = constants.O_WRONLY;
      const handle = await failingFor(path, 'open', () => open(path, flags));
      return new OutputFile(path, undefined, handle);
    }
    const final = there === undefined ? path : await realpath(path);
    if (there !== undefined) {
      await failingFor(path, 'open', () => access(final, constants.W_OK));
    }
    const part = `${final}.part`;
    const mode = there === undefined ? 0o666 : there.mode & 0o777;
    const handle = await failingFor(part, 'open', () => open(part, 'wx', mode));
    return new OutputFile(part, final, handle);
  }

  get path(): string {
    return this.#path;
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

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isSystemError(error) && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EEXIST: 'An earlier receive left it, or another one writes it: remove it, or name another file',
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
