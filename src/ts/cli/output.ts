/** What commands print: written whole, or known to be lost. */
import type { Writable } from 'node:stream';

/** A stream of this process whose reader may go away, and whose disk may be full. */
export class Output {
  readonly #stream: Writable;
  readonly #lost = new AbortController();

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => this.#lose(error));
  }

  /** Aborted, with the error as its reason, once nothing can be written any more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Writes, unless that has failed before. */
  write(text: string): void {
    if (this.lost.aborted) return;
    this.#stream.write(text, (error) => {
      if (error) this.#lose(error);
    });
  }

  /** Resolves once all that was written is out, or lost. */
  async flush(): Promise<void> {
    if (this.lost.aborted) return;
    await new Promise<void>((resolve) => {
      this.#stream.write('', () => resolve());
    });
  }

  #lose(error: Error): void {
    this.#lost.abort(error);
  }
}

/** Results, for people and programs. A command whose results are lost ends. */
export const stdout = new Output(process.stdout);

/** News and complaints. Where nobody hears them, there is nobody to tell. */
export const stderr = new Output(process.stderr);
