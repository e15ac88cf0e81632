/** Whether an interface, or the copy transport, can receive into memory. */
import { readlink } from 'node:fs/promises';
import path from 'node:path';

import { DevmemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { printable } from './quoting.js';

/** @throws DevmemError ERR_DEVMEM_WRONG_MEMORY for memory that the interface cannot write to */
export async function checkDevmemMemory(name: string, memory: DmaBuf): Promise<void> {
  if (!memory.isDmaBuf) {
    throw new DevmemError(
      'ERR_DEVMEM_WRONG_MEMORY',
      `options.memory (type '${memory.type}') is a memfd, which no NIC can receive into. Allocate { type: 'udmabuf' }`,
    );
  }
  await checkExporter(name, memory.exporter);
}

/**
 * @param exporter - the kernel's name of what made the dma-buf
 * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY where binding it would crash the kernel
 */
export async function checkExporter(name: string, exporter: string | undefined): Promise<void> {
  // NVIDIA's module takes whatever device it is attached to for a PCI device
  // (nv-dmabuf.c nv_dma_buf_attach), and the kernel crashes where it is none.
  if (exporter === 'nvidia' && !(await isPci(name))) {
    throw new DevmemError(
      'ERR_DEVMEM_WRONG_MEMORY',
      `options.memory is an NVIDIA GPU's, and ${printable(name)} is no PCI device: binding them would crash the kernel. Use a NIC on PCI Express, or { type: 'udmabuf' }`,
    );
  }
}

async function isPci(name: string): Promise<boolean> {
  const link = `/sys/class/net/${name}/device/subsystem`;
  return path.basename(await readlink(link).catch(() => '')) === 'pci';
}

/**
 * @param fallback - why devmem, which was tried first, is not used
 * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY for memory that the CPU cannot write to
 */
export function checkCopyMemory(memory: DmaBuf, fallback: Error | undefined): void {
  try {
    memory.mapping();
  } catch (cause) {
    if (!(cause instanceof DevmemError) || cause.code !== 'ERR_DEVMEM_NOT_MAPPABLE') throw cause;
    const tried =
      fallback === undefined ? '' : ` Devmem could not be used: ${withStop(fallback.message)}`;
    throw new DevmemError(
      'ERR_DEVMEM_WRONG_MEMORY',
      `The copy transport writes to memory with the CPU, which cannot see options.memory (type '${memory.type}'): allocate { type: 'udmabuf' } or { type: 'host' } for it.${tried}`,
      { cause: fallback ?? cause },
    );
  }
}

function withStop(sentence: string): string {
  return sentence.endsWith('.') ? sentence : `${sentence}.`;
}
