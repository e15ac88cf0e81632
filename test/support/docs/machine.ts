/** A machine as the documents have it: with eth1, 192.0.2.1, and no capable NIC. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { type Outcome, run } from '../../package/support/run.js';

const SETUP = fileURLToPath(new URL('machine.sh', import.meta.url));

/** For commands that are not this package's. */
const BIN = fileURLToPath(new URL('bin', import.meta.url));

export class DocumentsMachine implements AsyncDisposable {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  /** Needs root. */
  static async start(): Promise<DocumentsMachine> {
    const holding = ['sh', SETUP, 'sh', '-c', 'echo ready; exec cat'];
    const holder = spawn('unshare', ['--net', '--mount', '--', ...holding], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(holder, 'exit').then(([status]) => {
      throw new Error(`the machine could not be set up (status ${String(status)})`);
    });
    await Promise.race([once(holder.stdout, 'data'), ended]);
    ended.catch(() => {});
    return new DocumentsMachine(holder);
  }

  /** To be put before commands that are to run there. */
  get prefix(): string[] {
    const paths = `PATH=${BIN}:${process.env.PATH ?? ''}`;
    const where = [`--target=${this.#holder.pid}`, '--net', '--mount'];
    return ['nsenter', ...where, '--', 'env', '--chdir=/run', paths];
  }

  /** Runs a command there to its end. */
  run(...command: string[]): Promise<Outcome> {
    const [program, ...args] = [...this.prefix, ...command];
    return run(program!, args, { cwd: '/' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await exit;
  }
}
