/** `udmabuf` memory: a memfd's pages as a dma-buf (drivers/dma-buf/udmabuf.c). */
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';

import { systemError } from '../errors.js';
import { native, type OwnedFd } from '../native.js';
import type { Backing } from './backing.js';
import { createPages } from './memfd.js';

const DEVICE = '/dev/udmabuf';
const PARAMETERS = '/sys/module/udmabuf/parameters';

const { EACCES, EBADFD, EINVAL, ENODEV, ENOENT, ENXIO, EPERM } = {
  ...constants.errno,
  EBADFD: 77, // linux/errno.h; Node.js has no name for it
};

export interface UdmabufLimits {
  /** Bytes of one udmabuf at most (module parameter size_limit_mb); undefined: not limited, or not told. */
  sizeLimitBytes: number | undefined;
  /** Pieces of one udmabuf at most (module parameter list_limit); this package makes it of one. */
  listLimit: number | undefined;
}

/** The limits that the udmabuf module has now. */
export async function udmabufLimits(): Promise<UdmabufLimits> {
  const megabytes = await parameter('size_limit_mb');
  return {
    sizeLimitBytes: megabytes === undefined ? undefined : megabytes * 2 ** 20,
    listLimit: await parameter('list_limit'),
  };
}

async function parameter(name: string): Promise<number | undefined> {
  const text = await readFile(`${PARAMETERS}/${name}`, 'utf8').catch(() => '');
  const value = Number.parseInt(text, 10);
  return value > 0 ? value : undefined;
}

export async function allocateUdmabuf(
  size: number,
  hugePageBytes: number | undefined,
): Promise<Backing> {
  const device = openDevice();
  let pages: OwnedFd | undefined;
  try {
    pages = await createPages(size, hugePageBytes);
    const dmaBuf = await create(device, pages, size, hugePageBytes !== undefined);
    return backing(size, pages, dmaBuf);
  } catch (error) {
    pages?.close();
    throw error;
  } finally {
    device.close();
  }
}

function backing(size: number, pages: OwnedFd, dmaBuf: OwnedFd): Backing {
  return {
    type: 'udmabuf',
    size,
    dmaBuf,
    // Not the dma-buf: its mapping is of bare page frames (VM_PFNMAP), which no
    // other driver can pin.
    mappable: pages,
    exporter: 'udmabuf',
    close: () => {
      dmaBuf.close();
      pages.close();
    },
  };
}

function openDevice(): OwnedFd {
  const device = native().open(DEVICE);
  if (typeof device === 'number') {
    throw systemError(device, 'open', { subject: DEVICE, hint: openHint(-device) });
  }
  return device;
}

function openHint(errno: number): string | undefined {
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return "Load the module with 'modprobe udmabuf', or use a kernel with CONFIG_UDMABUF; { type: 'host' } works for the copy transport";
    case EACCES:
    case EPERM:
      return `Give this user access, for example by 'setfacl -m u:USER:rw ${DEVICE}', or run as root; in a container, pass the device in`;
    default:
      return undefined;
  }
}

async function create(
  device: OwnedFd,
  pages: OwnedFd,
  size: number,
  huge: boolean,
): Promise<OwnedFd> {
  const dmaBuf = await native().udmabufCreate(device, pages, size);
  if (typeof dmaBuf !== 'number') return dmaBuf;
  const limits = await udmabufLimits();
  throw systemError(dmaBuf, 'ioctl(UDMABUF_CREATE)', {
    subject: `${size} bytes (${describe(limits)})`,
    hint: createHint(-dmaBuf, size, limits, huge),
  });
}

function describe({ sizeLimitBytes, listLimit }: UdmabufLimits): string {
  const size = sizeLimitBytes === undefined ? 'none' : `${sizeLimitBytes / 2 ** 20}`;
  return `the module's limits: size_limit_mb ${size}, list_limit ${listLimit ?? 'unknown'}`;
}

function createHint(
  errno: number,
  size: number,
  { sizeLimitBytes = Infinity }: UdmabufLimits,
  huge: boolean,
): string | undefined {
  if (errno === EINVAL && size > sizeLimitBytes) {
    const needed = Math.ceil(size / 2 ** 20);
    return `Raise the limit with 'echo ${needed} > ${PARAMETERS}/size_limit_mb' (or udmabuf.size_limit_mb=${needed} on the kernel's command line), or use { type: 'dma-heap' }, which has none`;
  }
  if (errno === EBADFD && huge) {
    return "This kernel's udmabuf takes no huge pages (Linux 6.12's does): leave options.hugePages out, or use { type: 'dma-heap' }";
  }
  return undefined;
}
