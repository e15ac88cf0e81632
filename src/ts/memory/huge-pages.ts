/** Huge pages: what this machine has, and what to do where they are not enough. */
import { readdir, readFile } from 'node:fs/promises';

import { invalidArgType, invalidArgValue } from '../errors.js';

/** A size of huge pages as kernels write it, e.g. `'2M'` or `'1G'`. */
export type HugePageSize = `${number}${'K' | 'M' | 'G'}`;

/** Huge pages of one size. */
export interface HugePages {
  /** For the option `hugePages` of `DmaBuf.allocate()`. */
  size: HugePageSize;
  /** Bytes of one page. */
  pageBytes: number;
  /** Pages reserved by the administrator, in use or not. */
  total: number;
  /** Pages that can be had now. */
  free: number;
}

const FOLDER = '/sys/kernel/mm/hugepages';
const UNITS = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 } as const;

/** The huge pages of this machine, by size; none where the kernel, or sysfs, has none. */
export async function listHugePages(): Promise<HugePages[]> {
  const folders = await readdir(FOLDER).catch(() => []);
  const pools = await Promise.all(folders.map(readPool));
  return pools.filter((pool) => pool !== undefined).sort((a, b) => a.pageBytes - b.pageBytes);
}

async function readPool(folder: string): Promise<HugePages | undefined> {
  const kilobytes = /^hugepages-(\d+)kB$/.exec(folder)?.[1];
  if (kilobytes === undefined) return undefined;
  const pageBytes = Number(kilobytes) * 1024;
  const count = async (name: string): Promise<number> =>
    Number(await readFile(`${FOLDER}/${folder}/${name}`, 'utf8').catch(() => '0'));
  const free = (await count('free_hugepages')) - (await count('resv_hugepages'));
  return { size: sizeName(pageBytes), pageBytes, total: await count('nr_hugepages'), free };
}

function sizeName(bytes: number): HugePageSize {
  if (bytes % UNITS.G === 0) return `${bytes / UNITS.G}G`;
  if (bytes % UNITS.M === 0) return `${bytes / UNITS.M}M`;
  return `${bytes / UNITS.K}K`;
}

/** The bytes of a page of a size such as `'2M'`; undefined for what is no size of pages. */
export function hugePageBytes(size: string): number | undefined {
  const match = /^([1-9]\d{0,3})([KMG])$/.exec(size);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  return Number.isInteger(Math.log2(bytes)) ? bytes : undefined;
}

/**
 * The bytes of a page of the given size.
 *
 * @throws TypeError for what is no size, ERR_INVALID_ARG_VALUE for one that this
 *   machine has not
 */
export async function checkHugePages(name: string, value: unknown): Promise<number> {
  if (typeof value !== 'string') throw invalidArgType(name, "a string such as '2M'", value);
  const bytes = hugePageBytes(value);
  if (bytes === undefined) {
    throw invalidArgValue(name, "the size of huge pages, such as '2M' or '1G'", value);
  }
  const pools = await listHugePages();
  // Without sysfs (a container, say) the kernel is asked by trying.
  if (pools.length > 0 && !pools.some((pool) => pool.pageBytes === bytes)) {
    const sizes = pools.map((pool) => `'${pool.size}'`).join(', ');
    throw invalidArgValue(name, `one of ${sizes}, which this machine has`, value);
  }
  return bytes;
}

/** Says how to reserve enough pages for `size` bytes. */
export async function reserveHint(size: number, pageBytes: number): Promise<string> {
  const name = sizeName(pageBytes);
  const needed = size / pageBytes;
  const pool = (await listHugePages()).find((each) => each.pageBytes === pageBytes);
  const { total = 0, free = 0 } = pool ?? {};
  const wanted = total + Math.max(needed - free, 1);
  const ways = [
    `'echo ${wanted} > ${FOLDER}/hugepages-${pageBytes / 1024}kB/nr_hugepages'`,
    ...(pageBytes === (await defaultPageBytes())
      ? [`'echo ${wanted} > /proc/sys/vm/nr_hugepages'`]
      : []),
    `hugepagesz=${name} hugepages=${wanted} on the kernel's command line where memory is too fragmented by now`,
  ];
  return `${needed} free huge pages of ${name} are needed, and there are ${free} (${total} reserved in all): reserve more with ${ways.join(' or ')}`;
}

/** The size that /proc/sys/vm/nr_hugepages is about. */
async function defaultPageBytes(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  return Number(/^Hugepagesize:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}
