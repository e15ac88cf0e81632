import { native, type OwnedFd } from '../../dist/native.js';

/** A new file in memory: something to pass that is no dma-buf. */
export function memfd(name = 'devmem-tcp', size = 64 * 1024): OwnedFd {
  const file = native().memfdCreate(name, size, 0);
  if (typeof file === 'number') throw new Error(`memfd_create: ${file}`);
  return file;
}
