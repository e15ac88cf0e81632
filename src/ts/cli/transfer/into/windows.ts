/** Contiguous memory that streams are gathered into, a window of each connection's own. */
import { type AllocateOptions, DmaBuf } from '../../../index.js';

/** Bytes: what is received, looked at and written in one go. */
const WINDOW_BYTES = 4 * 2 ** 20;

export class Windows implements AsyncDisposable {
  readonly #options: AllocateOptions;
  // Of connections that have ended, and one from the start.
  readonly #free: DmaBuf[] = [];

  private constructor(options: AllocateOptions) {
    this.#options = options;
  }

  /** @throws as DmaBuf.allocate() does, before any connection comes */
  static async open(options: Omit<AllocateOptions, 'size'>): Promise<Windows> {
    const windows = new Windows({ ...options, size: WINDOW_BYTES });
    windows.giveBack(await windows.take());
    return windows;
  }

  async take(): Promise<DmaBuf> {
    return this.#free.pop() ?? (await DmaBuf.allocate(this.#options));
  }

  giveBack(window: DmaBuf): void {
    this.#free.push(window);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const window of this.#free.splice(0)) await window.close();
  }
}
