/** Runs `devmem-tcp`, and other programs for Node.js, as users do. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));

export interface Outcome {
  /** Exit status; null where a signal ended it. */
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  /** A command and arguments that run the program, such as `['setpriv', '--reuid', '65534']`. */
  prefix?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Another program's script. Default: that of `devmem-tcp`. */
  script?: string;
}

/** On a terminal: what it shows is on stdout, what comes on stdin is typed. */
export const ON_TERMINAL = ['python3', fileURLToPath(new URL('terminal.py', import.meta.url))];

/** With standard output on a disk that is full. */
export const ON_FULL_DISK = ['sh', '-c', 'exec "$@" >/dev/full', 'sh'];

/** A running `devmem-tcp`. */
export class Cli implements Disposable {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly outcome: Promise<Outcome>;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], { prefix = [], env = {}, script = MAIN }: CliOptions = {}) {
    const command = [...prefix, process.execPath, script, ...args];
    this.process = spawn(command[0]!, command.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.process.stdout.on('data', (piece) => (this.#stdout += String(piece)));
    this.process.stderr.on('data', (piece) => (this.#stderr += String(piece)));
    this.outcome = this.#watch();
  }

  /** Waits for text on stderr that the pattern matches; what its first group caught. */
  said(pattern: RegExp): Promise<string> {
    return this.#match(pattern, this.process.stderr, () => this.#stderr);
  }

  /** The same for stdout. */
  printed(pattern: RegExp): Promise<string> {
    return this.#match(pattern, this.process.stdout, () => this.#stdout);
  }

  /** Reads no more of stdout, as `head` that has had its lines. */
  hangUp(): void {
    this.process.stdout.destroy();
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  [Symbol.dispose](): void {
    this.process.kill('SIGKILL');
  }

  async #match(pattern: RegExp, stream: Readable, text: () => string): Promise<string> {
    const ended = this.outcome.then(() => 'ended');
    for (let news: unknown; ; news = await Promise.race([once(stream, 'data'), ended])) {
      const match = pattern.exec(text());
      if (match !== null) return match[1] ?? match[0];
      if (news === 'ended') {
        throw new Error(`it ended without ${pattern}: ${this.#stdout}${this.#stderr}`);
      }
    }
  }

  async #watch(): Promise<Outcome> {
    const [status, signal] = (await once(this.process, 'close')) as [
      number | null,
      NodeJS.Signals | null,
    ];
    return { status, signal, stdout: this.#stdout, stderr: this.#stderr };
  }
}

/** Runs it to its end. */
export function runCli(args: readonly string[], options?: CliOptions): Promise<Outcome> {
  return new Cli(args, options).outcome;
}
