/** `dma-heap` memory: dma-bufs that the kernel allocates (drivers/dma-buf/dma-heap.c). */
import { readdir } from 'node:fs/promises';
import { constants } from 'node:os';

import { systemError } from '../errors.js';
import { native, type OwnedFd } from '../native.js';
import type { Backing } from './backing.js';

const FOLDER = '/dev/dma_heap';

const { EACCES, ENODEV, ENOENT, ENOMEM, ENOTDIR, ENXIO, EPERM } = constants.errno;

/** Names of the heaps of this machine. */
export async function listHeaps(): Promise<string[]> {
  return (await readdir(FOLDER).catch(() => [])).sort();
}

export async function allocateDmaHeap(size: number, name: string): Promise<Backing> {
  const heap = await openHeap(name);
  const dmaBuf = await native().dmaHeapAllocate(heap, size);
  heap.close();
  if (typeof dmaBuf === 'number') {
    throw systemError(dmaBuf, 'ioctl(DMA_HEAP_IOCTL_ALLOC)', {
      subject: `${size} bytes of ${FOLDER}/${name}`,
      hint:
        dmaBuf === -ENOMEM
          ? "Free memory or ask for less; a heap gives unmovable pages, and some (cma) have a small area, set by 'cma=' on the kernel's command line"
          : undefined,
    });
  }
  return {
    type: 'dma-heap',
    size,
    dmaBuf,
    mappable: dmaBuf,
    exporter: name,
    close: () => {
      dmaBuf.close();
    },
  };
}

async function openHeap(name: string): Promise<OwnedFd> {
  const path = `${FOLDER}/${name}`;
  const heap = native().open(path);
  if (typeof heap !== 'number') return heap;
  throw systemError(heap, 'open', { subject: path, hint: await openHint(-heap) });
}

async function openHint(errno: number): Promise<string | undefined> {
  switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO: {
      const heaps = await listHeaps();
      return heaps.length > 0
        ? `The heaps of this machine: ${heaps.map((heap) => `'${heap}'`).join(', ')}`
        : "This machine has no heaps: use a kernel with CONFIG_DMABUF_HEAPS_SYSTEM, or { type: 'udmabuf' }; in a container, pass the device in";
    }
    case EACCES:
    case EPERM:
      return `Give this user access, for example by 'setfacl -m u:USER:rw ${FOLDER}/*', or run as root`;
    default:
      return undefined;
  }
}
