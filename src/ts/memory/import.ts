/** `import`ed memory: a dma-buf, or a memfd, that somebody else made. */
import { access, readFile, readlink } from 'node:fs/promises';

import { checkInteger, checkObject, invalidArgValue, outOfRange, systemError } from '../errors.js';
import { closeStrangers } from '../ipc/strangers.js';
import { native, type OwnedFd } from '../native.js';
import type { Backing } from './backing.js';
import { memfdSize } from './import-memfd.js';

/** Options of `DmaBuf.import()`. */
export interface ImportOptions {
  /** The descriptor in this process. It is duplicated and stays the caller's. */
  fd: number;
  /** Bytes that it must have, to make sure that it is the one expected. Default: any. */
  size?: number;
}

// linux/magic.h: the file system that dma-bufs, and nothing else, are files of.
const DMA_BUF_MAGIC = 0x444d4142;

export async function importMemory(options: ImportOptions): Promise<Backing> {
  checkObject('options', options);
  checkInteger('options.fd', options.fd, 0, 2 ** 31 - 1);
  if (options.size !== undefined) {
    checkInteger('options.size', options.size, 1, Number.MAX_SAFE_INTEGER);
  }
  const file = native().duplicateFd(options.fd);
  if (typeof file === 'number') {
    throw systemError(file, 'fcntl(F_DUPFD_CLOEXEC)', {
      subject: `options.fd is ${options.fd}`,
      hint: 'Pass an open descriptor; one that another process named has to be sent by SCM_RIGHTS',
    });
  }
  try {
    return await backing(file, options);
  } catch (error) {
    // Of a file that is neither, even a duplicate's close(2) may wait.
    void closeStrangers([file]);
    throw error;
  }
}

async function backing(file: OwnedFd, options: ImportOptions): Promise<Backing> {
  const exporter = await exporterOf(file.fd);
  const isDmaBuf = exporter !== undefined || (await isNamelessDmaBuf(file, options));
  const size = isDmaBuf ? dmaBufSize(file, options) : memfdSize(file, options);
  if (size === undefined) {
    const name = await readlink(`/proc/self/fd/${file.fd}`).catch(() => 'something else');
    throw invalidArgValue('options.fd', `a dma-buf or a memfd, and this is '${name}'`, options.fd);
  }
  if (options.size !== undefined && options.size !== size) {
    throw outOfRange('options.size', `${size}, the size of this memory`, options.size);
  }
  return {
    type: 'import',
    size,
    dmaBuf: isDmaBuf ? file : undefined,
    mappable: file,
    exporter,
    close: () => {
      file.close();
    },
  };
}

function dmaBufSize(dmaBuf: OwnedFd, { fd }: ImportOptions): number {
  const size = native().fileSize(dmaBuf);
  if (size < 0) throw systemError(size, 'lseek', { subject: `options.fd is ${fd}` });
  return size;
}

// Of dma-bufs /proc tells who made them; it asks nobody. (fstatfs() asks the server of a
// file system, such as FUSE's, which may let it wait.)
async function isNamelessDmaBuf(file: OwnedFd, { fd }: ImportOptions): Promise<boolean> {
  if (await hasProc()) return false;
  const type = native().fileSystemType(file);
  if (type < 0) throw systemError(type, 'fstatfs', { subject: `options.fd is ${fd}` });
  return type === DMA_BUF_MAGIC;
}

function hasProc(): Promise<boolean> {
  return access('/proc/self/fdinfo').then(
    () => true,
    () => false,
  );
}

/** What made a dma-buf (drivers/dma-buf/dma-buf.c dma_buf_show_fdinfo). */
export async function exporterOf(fd: number): Promise<string | undefined> {
  const text = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => '');
  return /^exp_name:\s*(\S+)$/m.exec(text)?.[1];
}
