/** A broker in a process of its own, as it is run. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));

export class BrokerProcess implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<null, Readable, Readable>;
  readonly #exit: Promise<unknown[]>;
  #output = '';

  /** @param listening - the descriptor of a socket that it gets as systemd would hand it over */
  private constructor(args: readonly string[], setup = '', listening?: number) {
    const shell = `${setup} exec "$@"`;
    const broker = [process.execPath, MAIN, 'broker', ...args];
    const stdio = ['ignore', 'pipe', 'pipe', ...(listening === undefined ? [] : [listening])];
    this.#process = spawn('sh', ['-c', shell, 'sh', ...broker], {
      stdio: stdio as ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (piece) => (this.#output += String(piece)));
    }
    this.#exit = once(this.#process, 'close');
  }

  /** Starts one and waits until it listens. */
  static async start(socket: string, ...args: string[]): Promise<BrokerProcess> {
    const broker = new BrokerProcess(['--socket', socket, ...args]);
    await broker.said('listening on');
    return broker;
  }

  /** Starts one that may have so many descriptors open. */
  static async limited(files: number, socket: string, ...args: string[]): Promise<BrokerProcess> {
    const broker = new BrokerProcess(['--socket', socket, ...args], `ulimit -n ${files};`);
    await broker.said('listening on');
    return broker;
  }

  /**
   * Starts one with a socket that listens already.
   *
   * @param environment - what the shell that becomes the broker assigns, e.g. `LISTEN_FDS=1`
   */
  static async activated(
    listening: number,
    environment: string,
    ...args: string[]
  ): Promise<BrokerProcess> {
    const activation = ['--socket-activation', ...args];
    const broker = new BrokerProcess(activation, environment, listening);
    await broker.said('listening on');
    return broker;
  }

  /** Runs one that is expected to end by itself; its exit status and what it said. */
  static async fail(...args: string[]): Promise<{ status: unknown; output: string }> {
    const broker = new BrokerProcess(args);
    const [status] = await broker.#exit;
    return { status, output: broker.#output };
  }

  /** As `fail()`, with a socket that listens already. */
  static async failActivated(
    listening: number,
    environment: string,
    ...args: string[]
  ): Promise<{ status: unknown; output: string }> {
    const activation = ['--socket-activation', ...args];
    const broker = new BrokerProcess(activation, environment, listening);
    const [status] = await broker.#exit;
    return { status, output: broker.#output };
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** All that it has printed so far. */
  get output(): string {
    return this.#output;
  }

  /** Waits until it has printed the text so many times. */
  async said(text: string, times = 1): Promise<void> {
    while (this.#output.split(text).length <= times) {
      const more = once(this.#process.stdout, 'data');
      const over = this.#exit.then(([status]) => {
        if (this.#output.split(text).length > times) return;
        throw new Error(`the broker ended with ${String(status)}: ${this.#output}`);
      });
      await Promise.race([more, over]);
    }
  }

  /** @returns exit status and signal */
  async end(signal: NodeJS.Signals): Promise<unknown[]> {
    this.#process.kill(signal);
    return this.#exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGKILL');
  }
}
