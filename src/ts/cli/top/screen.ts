/** A terminal taken for drawing on, and given back as it was. */
import { stdout } from '../output.js';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

const CTRL_C = '\x03';
const CTRL_Z = '\x1a';

// Of terminals that do not tell.
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export interface ScreenEvents {
  /** The user wants to leave. */
  onQuit: () => void;
  /** Its size is another. */
  onResize: () => void;
}

/**
 * The alternate screen, without a cursor, and keys as they are pressed. A terminal that is slow
 * to take what is drawn gets fewer drawings.
 */
export class Screen implements Disposable {
  readonly #events: ScreenEvents;
  readonly #raw: boolean;
  readonly #onKey = (key: string): void => {
    if (key === 'q' || key === 'Q' || key === CTRL_C) this.#events.onQuit();
    // What a terminal does that is not raw: to all that a shell has started together.
    else if (key === CTRL_Z) process.kill(0, 'SIGTSTP');
  };
  readonly #onSuspend = (): void => this.#suspend();
  readonly #onContinue = (): void => this.#takeAgain();

  constructor(events: ScreenEvents) {
    this.#events = events;
    stdout.write(ENTER);
    process.stdout.on('resize', events.onResize);
    process.on('SIGTSTP', this.#onSuspend);
    // Who is stopped by SIGSTOP cannot give the terminal back, but the shell has.
    process.on('SIGCONT', this.#onContinue);
    const { stdin } = process;
    this.#raw = stdin.isTTY;
    if (!this.#raw) return;
    // Keys show nowhere; a terminal that went away has none.
    stdin.on('error', events.onQuit);
    stdin.setRawMode(true).setEncoding('utf8').on('data', this.#onKey);
  }

  get columns(): number {
    return process.stdout.columns || DEFAULT_COLUMNS;
  }

  get rows(): number {
    return process.stdout.rows || DEFAULT_ROWS;
  }

  /** @param lines - no more, and none wider, than the screen has room for */
  draw(lines: readonly string[]): void {
    if (process.stdout.writableNeedDrain) return;
    // Cleared first: behind the last column of a full line the cursor is still on it.
    const text = lines.map((line) => CLEAR_LINE + line).join('\n');
    const rest = lines.length < this.rows ? `\n${CLEAR_BELOW}` : '';
    stdout.write(HOME + text + rest);
  }

  [Symbol.dispose](): void {
    process.stdout.removeListener('resize', this.#events.onResize);
    process.removeListener('SIGTSTP', this.#onSuspend);
    process.removeListener('SIGCONT', this.#onContinue);
    if (this.#raw) {
      process.stdin.removeListener('data', this.#onKey).pause();
      // A terminal that was closed meanwhile has no mode to go back to.
      try {
        process.stdin.setRawMode(false);
      } catch {
        return;
      }
    }
    stdout.write(LEAVE);
  }

  /** Returns once it goes on, at once where there is no shell to go back to. */
  #suspend(): void {
    if (this.#raw) process.stdin.setRawMode(false);
    stdout.write(LEAVE);
    // By the default action, which the kernel leaves out where nobody could continue it.
    process.removeListener('SIGTSTP', this.#onSuspend);
    process.kill(process.pid, 'SIGTSTP');
    process.on('SIGTSTP', this.#onSuspend);
    this.#takeAgain();
  }

  #takeAgain(): void {
    // Node.js would do nothing where it believes that the terminal is raw still.
    if (this.#raw) process.stdin.setRawMode(false).setRawMode(true);
    stdout.write(ENTER);
    this.#events.onResize();
  }
}
