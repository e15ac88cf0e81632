/** The kernel's own ncdevmem, as its comments say to run it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { INTERFACE } from './guest.js';

/** The program; undefined where scripts/test-lab.mjs could not build it. */
export const NCDEVMEM = process.env.DEVMEM_NCDEVMEM;
const TOOLS = fileURLToPath(new URL('ncdevmem', import.meta.url));

export interface Outcome {
  status: number | null;
  /** Bytes that it found in its dma-buf. */
  received: number;
  /** What it found wrong, a line for each byte. */
  wrong: string[];
  stderr: string;
}

/** A receiver: sets the interface up, binds, accepts one connection, and verifies. */
export class Ncdevmem implements Disposable {
  readonly outcome: Promise<Outcome>;
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  #stderr = '';

  private constructor(args: readonly string[]) {
    if (NCDEVMEM === undefined) {
      throw new Error("There is no ncdevmem: 'npm run test:lab' builds it before the guest boots");
    }
    this.#process = spawn(NCDEVMEM, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${TOOLS}:${process.env.PATH}` },
    });
    // A line for each fragment, which nobody reads.
    this.#process.stdout.resume();
    this.#process.stderr.on('data', (piece) => (this.#stderr += String(piece)));
    this.outcome = this.#watch();
  }

  /**
   * Resolves once it listens.
   *
   * @param sequence - the bytes to come: 1, 2, … sequence - 1, 0, 1, …
   */
  static async receive(
    address: string,
    port: number,
    queue: number,
    sequence: number,
  ): Promise<Ncdevmem> {
    const ncdevmem = new Ncdevmem([
      ...['-l', '-s', address, '-p', String(port), '-v', String(sequence)],
      ...['-f', INTERFACE, '-t', String(queue), '-q', '1'],
    ]);
    await ncdevmem.#said('Waiting or connection on');
    return ncdevmem;
  }

  /** The kernel's id of its binding. */
  get bindingId(): number {
    // It binds before, to see whether that works.
    const ids = [...this.#stderr.matchAll(/got dmabuf id=(\d+)/g)];
    return Number(ids.at(-1)?.[1]);
  }

  [Symbol.dispose](): void {
    this.#process.kill('SIGKILL');
  }

  async #said(text: string): Promise<void> {
    const ended = this.outcome.then(({ stderr }) => {
      throw new Error(`ncdevmem ended before '${text}':\n${stderr}`);
    });
    ended.catch(() => {});
    while (!this.#stderr.includes(text)) {
      await Promise.race([once(this.#process.stderr, 'data'), ended]);
    }
  }

  async #watch(): Promise<Outcome> {
    const [status] = (await once(this.#process, 'close')) as [number | null];
    const stderr = this.#stderr;
    const totals = [...stderr.matchAll(/^total_received=(\d+)$/gm)];
    const wrong = stderr.split('\n').filter((line) => line.startsWith('Failed validation'));
    return { status, received: Number(totals.at(-1)?.[1] ?? 0), wrong, stderr };
  }
}
