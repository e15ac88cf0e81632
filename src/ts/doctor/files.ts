/**
 * Reads files of procfs, sysfs and /dev. Nothing throws: what cannot be read is
 * undefined, for the checks to say that it is unknown.
 */
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { basename, join } from 'node:path';

export type Access = 'usable' | 'denied' | 'absent';

export class Files {
  readonly #root: string;

  /** @param root - what paths are relative to; a test has a tree of its own */
  constructor(root = '/') {
    this.#root = root;
  }

  bytes(path: string): Buffer | undefined {
    return attempt(() => readFileSync(join(this.#root, path)));
  }

  /** The file's text without white space around it. */
  text(path: string): string | undefined {
    return this.bytes(path)?.toString('utf8').trim();
  }

  /** The number that the file holds: decimal, or hexadecimal with 0x. */
  number(path: string): number | undefined {
    const text = this.text(path);
    return text !== undefined && /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : undefined;
  }

  /** Names in a folder, sorted. */
  list(path: string): string[] | undefined {
    return attempt(() => readdirSync(join(this.#root, path)).sort());
  }

  exists(path: string): boolean {
    return existsSync(join(this.#root, path));
  }

  /** The last name of what a link leads to, such as a device's driver. */
  target(path: string): string | undefined {
    const real = this.resolve(path);
    return real === undefined ? undefined : basename(real);
  }

  /** Where a path leads once all links in it are followed; begins with a slash. */
  resolve(path: string): string | undefined {
    return attempt(() => {
      const root = realpathSync(this.#root);
      const real = realpathSync(join(root, path));
      return real.startsWith(root) ? join('/', real.slice(root.length)) : real;
    });
  }

  /** Whether this process could open the file for reading and writing. */
  access(path: string): Access {
    const full = join(this.#root, path);
    if (!existsSync(full)) return 'absent';
    const ok = attempt(() => {
      accessSync(full, constants.R_OK | constants.W_OK);
      return true;
    });
    return ok ? 'usable' : 'denied';
  }

  isSocket(path: string): boolean {
    return attempt(() => statSync(join(this.#root, path)).isSocket()) ?? false;
  }
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
