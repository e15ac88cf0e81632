/** What asks a command to end, and ending as other programs do. */
import { setImmediate as turn } from 'node:timers/promises';

import { stderr, stdout } from './output.js';

/** From a keyboard, a service manager, a terminal that is closed. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/**
 * One signal may come by several ways: Ctrl-C reaches a command directly and through
 * npx, a closing terminal hangs up on it through the shell too.
 */
const SAME_SIGNAL_MS = 1000;

/** A signal came: the reason of a command that did not do what it was to do. */
export class Interrupted extends Error {
  readonly by: NodeJS.Signals;

  constructor(by: NodeJS.Signals) {
    super(`interrupted by ${by}`);
    this.by = by;
  }
}

/**
 * Holds off what would end the process, so that it can put back what it has set up: the
 * signals, and standard output that cannot be written any more. A signal that comes a
 * second later than the first ends the process at once, as it would have without this.
 */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal = (by: NodeJS.Signals): void => this.#interrupted(by);
  readonly #onLost = (): void => this.#controller.abort(stdout.lost.reason);
  #release: NodeJS.Timeout | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    if (stdout.lost.aborted) this.#onLost();
    else stdout.lost.addEventListener('abort', this.#onLost);
  }

  /** Aborted with an Interrupted, or with the error of standard output. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether there is one by now, after everything that came before the call was heard. */
  async isPending(): Promise<boolean> {
    // The event loop hears of signals when it polls: that is between the two.
    await turn();
    await turn();
    return this.signal.aborted;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#release);
    this.#letThrough();
    stdout.lost.removeEventListener('abort', this.#onLost);
  }

  #interrupted(by: NodeJS.Signals): void {
    if (this.#release !== undefined) return;
    this.#release = setTimeout(() => this.#letThrough(), SAME_SIGNAL_MS);
    this.#release.unref();
    // A terminal shows ^C where its cursor is: what follows gets a line of its own.
    if (process.stderr.isTTY) stderr.write('\n');
    this.#controller.abort(new Interrupted(by));
  }

  #letThrough(): void {
    for (const signal of SIGNALS) process.removeListener(signal, this.#onSignal);
  }
}

/**
 * Ends the process by a signal, as if it had never been held off or ignored: so that
 * whoever started it is told what ended it.
 */
export function endBy(signal: NodeJS.Signals): void {
  // Node.js ignores SIGPIPE; the default is back once a listener has come and gone.
  const listener = (): void => {};
  process.on(signal, listener);
  process.removeListener(signal, listener);
  process.kill(process.pid, signal);
}
