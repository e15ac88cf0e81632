import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

// Below vitest's own, so that what the program printed is seen.
const LIMIT_MS = 50_000;

export interface ChildOutcome {
  /** Exit status; null where a signal ended it, as an abort or the time limit do. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A program of test/host/children in a process of its own, where a crash is seen. */
export class Child {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #outcome: Promise<ChildOutcome>;
  #stdout = '';
  #stderr = '';

  /** @param gid - default: the number of `uid` */
  constructor(program: string, args: readonly (string | number)[] = [], uid?: number, gid = uid) {
    const script = fileURLToPath(new URL(`../host/children/${program}.mjs`, import.meta.url));
    this.#process = spawn(process.execPath, [script, ...args.map(String)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS,
      killSignal: 'SIGKILL',
      ...(uid !== undefined && { uid, gid }),
    });
    this.#process.stdout.on('data', (piece) => (this.#stdout += String(piece)));
    this.#process.stderr.on('data', (piece) => (this.#stderr += String(piece)));
    this.#outcome = this.#watch();
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** Waits until the program has printed the line. */
  async printed(line: string): Promise<void> {
    while (!this.#stdout.split('\n').includes(line)) {
      const more = once(this.#process.stdout, 'data');
      const ended = this.#outcome.then((outcome) => {
        if (outcome.stdout.split('\n').includes(line)) return;
        throw new Error(`the program never printed '${line}': ${JSON.stringify(outcome)}`);
      });
      await Promise.race([more, ended]);
    }
  }

  /** The first line that the program prints. */
  async firstLine(): Promise<string> {
    while (!this.#stdout.includes('\n')) await once(this.#process.stdout, 'data');
    return this.#stdout.split('\n')[0] ?? '';
  }

  /** Ends the program. */
  kill(): void {
    this.#process.kill('SIGTERM');
  }

  /** How it ended, once it did. */
  outcome(): Promise<ChildOutcome> {
    return this.#outcome;
  }

  async #watch(): Promise<ChildOutcome> {
    const [status, signal] = (await once(this.#process, 'close')) as [
      number | null,
      NodeJS.Signals | null,
    ];
    return { status, signal, stdout: this.#stdout, stderr: this.#stderr };
  }
}
