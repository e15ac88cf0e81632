import { once } from 'node:events';
import type { Writable } from 'node:stream';

import { pattern } from '../stream.js';
import type { Journal } from './journal.js';
import { rest } from './pause.js';
import { ANSWER } from './peer.js';
import type { Write } from './scenario.js';

/** Writes to the connection's other direction. */
export class Writer {
  readonly #writable: Writable;
  readonly #journal: Journal;
  /** Bytes that were written. */
  written = 0;
  /** Of those, the ones that were said to be on their way. */
  acknowledged = 0;

  constructor(writable: Writable, journal: Journal) {
    this.#writable = writable;
    this.#journal = journal;
  }

  async write(writes: readonly Write[]): Promise<void> {
    for (const { bytes, pause } of writes) {
      await rest(pause);
      if (!this.#writable.writable) return;
      await this.#write(bytes);
    }
  }

  async #write(bytes: number): Promise<void> {
    const piece = pattern.slice(ANSWER + this.written, bytes);
    this.#journal.note(`writes ${this.written}..${this.written + bytes}`);
    this.written += bytes;
    const more = this.#writable.write(piece, (error) => {
      if (error === null || error === undefined) this.acknowledged += bytes;
    });
    if (more) return;
    await Promise.race([once(this.#writable, 'drain'), once(this.#writable, 'close')]).catch(
      () => {},
    );
  }

  end(): void {
    this.#journal.note('ends its direction');
    this.#writable.end();
  }
}
