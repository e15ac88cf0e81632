import type { CpuAccess, DmaBuf } from '../memory/dma-buf.js';

/**
 * What the CPU does to memories in one go, however many copies that is: each memory's access
 * begins once and ends once, which are system calls (`DMA_BUF_IOCTL_SYNC`).
 *
 * What is copied must have been there before the go began.
 */
export class CpuAccesses {
  readonly #begun: { memory: DmaBuf; access: CpuAccess; end: () => void }[] = [];
  // The go itself, and each copy that goes on elsewhere.
  #users = 1;

  /**
   * Begins an access, unless it has.
   *
   * @throws as `DmaBuf.cpuAccess()` does
   */
  begin(memory: DmaBuf, access: CpuAccess): void {
    for (const each of this.#begun) {
      if (each.memory === memory && each.access === access) return;
    }
    this.#begun.push({ memory, access, end: memory.beginCpuAccess(access) });
  }

  /** Keeps all that has begun until one more call of end(). */
  keep(): void {
    this.#users++;
  }

  /**
   * To be called once, and once for each keep(): the last one ends all accesses.
   *
   * @throws SystemError where an exporter refuses, once the others have ended too
   */
  end(): void {
    this.#users--;
    if (this.#users === 0) this.#endAll();
  }

  #endAll(): void {
    const last = this.#begun.pop();
    if (last === undefined) return;
    try {
      last.end();
    } finally {
      this.#endAll();
    }
  }
}
