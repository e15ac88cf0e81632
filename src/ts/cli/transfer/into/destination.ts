/** Where `recv --into` gathers its streams. */
import { type Binding, DmaBuf } from '../../../index.js';
import type { Into } from './into.js';
import { OutputFile } from './output-file.js';
import { Windows } from './windows.js';

/** What `recv --json` tells of it. docs/cli.md describes it. */
export interface Gathered {
  /** `host`, `cuda:N`, or the absolute path of the file that has the bytes. */
  into: string;
  /** Bytes of all connections together; of a file, those that it has. */
  bytes: number;
  /** What copied them. */
  by: 'cpu' | 'gpu';
  /** Whether the file is all that was to come; absent without a file. */
  whole?: boolean;
}

export class Destination implements AsyncDisposable {
  readonly windows: Windows;
  readonly #into: Into;
  readonly #file: OutputFile | undefined;
  #whole = false;
  #bytes = 0;

  private constructor(into: Into, windows: Windows, file: OutputFile | undefined) {
    this.#into = into;
    this.windows = windows;
    this.#file = file;
  }

  /** @throws where there is no such memory, or the file cannot be written */
  static async open(into: Into): Promise<Destination> {
    const file = into.type === 'file' ? await OutputFile.open(into.path) : undefined;
    try {
      const memory = into.type === 'cuda' ? into : ({ type: 'host' } as const);
      return new Destination(into, await Windows.open(memory), file);
    } catch (error) {
      await file?.[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Bytes have come to a window. */
  async take(window: DmaBuf, offset: number, size: number): Promise<void> {
    this.#bytes += size;
    await this.#file?.write(window.map().subarray(offset, offset + size));
  }

  /** All that was to come is there. */
  async complete(): Promise<void> {
    await this.#file?.complete();
    this.#whole = true;
  }

  report({ memory }: Binding): Gathered {
    const file = this.#file;
    return {
      into: file?.path ?? nameOf(this.#into),
      bytes: file?.bytes ?? this.#bytes,
      by: memory.type === 'cuda' || this.#into.type === 'cuda' ? 'gpu' : 'cpu',
      ...(file !== undefined && { whole: this.#whole }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.windows[Symbol.asyncDispose]();
    await this.#file?.[Symbol.asyncDispose]();
  }
}

function nameOf(into: Into): string {
  return into.type === 'cuda' ? `cuda:${into.device}` : into.type;
}
