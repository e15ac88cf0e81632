/** Host memory as a file: what `host` memory is, and what a udmabuf is made of. */
import { constants } from 'node:os';

import { systemError } from '../errors.js';
import { native, type OwnedFd } from '../native.js';
import { reserveHint } from './huge-pages.js';

// linux/memfd.h
const MFD_HUGETLB = 4;
const MFD_HUGE_SHIFT = 26;

const { ENODEV, ENOSYS } = constants.errno;

/**
 * Makes the file.
 *
 * @param size - bytes
 * @param hugePageBytes - bytes of a huge page; undefined: ordinary pages
 */
export async function createPages(
  size: number,
  hugePageBytes: number | undefined,
): Promise<OwnedFd> {
  const flags =
    hugePageBytes === undefined ? 0 : MFD_HUGETLB + Math.log2(hugePageBytes) * 2 ** MFD_HUGE_SHIFT;
  const pages = native().memfdCreate('devmem-tcp', size, flags);
  if (typeof pages === 'number') {
    const unknown = hugePageBytes !== undefined && [-ENODEV, -ENOSYS].includes(pages);
    throw systemError(pages, 'memfd_create', {
      subject: `${size} bytes`,
      hint: unknown
        ? 'This kernel has no huge pages of that size: leave options.hugePages out'
        : undefined,
    });
  }
  if (hugePageBytes !== undefined) await reserve(pages, size, hugePageBytes);
  return pages;
}

/**
 * Takes the huge pages now. Left to its first use, a page that cannot be had
 * would end the process with SIGBUS; and udmabuf of Linux 6.12 takes for granted
 * that they are there (mm/memfd.c memfd_alloc_folio).
 */
async function reserve(pages: OwnedFd, size: number, pageBytes: number): Promise<void> {
  const status = await native().allocatePages(pages, size);
  if (status === 0) return;
  pages.close();
  throw systemError(status, 'fallocate', {
    subject: `${size} bytes of huge pages`,
    hint: await reserveHint(size, pageBytes),
  });
}
