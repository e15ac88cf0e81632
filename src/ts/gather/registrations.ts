/** Host memory that a GPU reads and writes by itself, registered when it is first used. */
import { isMainThread } from 'node:worker_threads';

import type { DmaBuf } from '../memory/dma-buf.js';
import { type Cuda, type CudaRegistration, native } from '../native.js';

/** What is known of a memory: registered, or refused (undefined), or being found out. */
type State = CudaRegistration | undefined | Promise<CudaRegistration | undefined>;

interface Entry {
  state: State;
  forget(): void;
}

export class Registrations {
  readonly #cuda: Cuda;
  readonly #device: number;
  readonly #entries = new Map<DmaBuf, Entry>();

  constructor(cuda: Cuda, device: number) {
    this.#cuda = cuda;
    this.#device = device;
  }

  /**
   * The memory's registration; undefined where CUDA refuses, which it does for mappings
   * of dma-bufs: then the CPU has to copy.
   *
   * @throws as DmaBuf.mapping() does
   */
  of(memory: DmaBuf): State {
    return (this.#entries.get(memory) ?? this.#enter(memory)).state;
  }

  close(): void {
    for (const entry of [...this.#entries.values()]) entry.forget();
  }

  #enter(memory: DmaBuf): Entry {
    const addon = native();
    const mapping = memory.mapping();
    const made = new addon.CudaRegistration(this.#cuda, this.#device, mapping, isMainThread);
    // A launch that needs it has it for as long as that takes.
    const forget = (): void => {
      stopWatching();
      this.#entries.delete(memory);
      made.close();
    };
    const stopWatching = memory.whenClosed(forget);
    const entry: Entry = { state: undefined, forget };
    entry.state = made.register().then((failure) => {
      if (failure !== undefined) made.close();
      entry.state = failure === undefined ? made : undefined;
      return entry.state;
    });
    this.#entries.set(memory, entry);
    return entry;
  }
}
