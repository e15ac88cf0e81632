/** What a reader's calls have to come to, in their order. */
import type { Wanted } from './calls.js';

/** How the stream may end. */
export type Ending = 'end' | 'reset' | 'close';

type Failure = Error & { code?: string; bytesRead?: number };
type Answer = { result: unknown } | { error: Failure };

/** A call that was made. */
export interface Call {
  wanted: Wanted;
  promise: Promise<unknown>;
  /** Where it was given up: the reason, and bytes that it had taken. */
  given?: { reason: unknown; taken: number } | undefined;
  answer?: Answer | undefined;
}

export class Ledger {
  /** Where the first call begins that is not accounted for. */
  position = 0;
  /** Whether nobody can tell any more where calls began: one failed having taken some. */
  lost = false;
  /** Whether the stream failed, or was closed. */
  over = false;
  readonly #calls: Call[] = [];
  readonly #bytes: number;
  readonly #ending: Ending;
  readonly #transport: string;

  /** @param bytes - of the stream, in all */
  constructor(bytes: number, ending: Ending, transport: string) {
    this.#bytes = bytes;
    this.#ending = ending;
    this.#transport = transport;
  }

  /** Calls that did not come back. */
  get pending(): Call[] {
    return this.#calls.filter(({ answer }) => answer === undefined);
  }

  add(wanted: Wanted, promise: Promise<unknown>): Call {
    const call: Call = { wanted, promise };
    this.#calls.push(call);
    promise.then(
      (result) => (call.answer = { result }),
      (error: unknown) => (call.answer = { error: error as Failure }),
    );
    return call;
  }

  /**
   * Notes that calls were given up, just now.
   *
   * @param position - where the reader was after that: who is next takes as it comes, and has
   *   left nothing for those behind it
   */
  giveUp(calls: readonly Call[], reason: unknown, position: number): void {
    let start = this.position;
    for (const call of this.#calls) {
      const want = this.#bytesOf(call, start);
      if (calls.includes(call) && call.given === undefined && call.answer === undefined) {
        const done = position >= start + want && want > 0;
        const taken = call.wanted.asItComes ? Math.max(position - start, 0) : 0;
        if (!done) call.given = { reason, taken };
      }
      start += this.#bytesOf(call, start);
    }
  }

  /** Accounts for the calls that came back, up to the first that did not. */
  settle(): void {
    for (let call; (call = this.#calls[0]) !== undefined && call.answer !== undefined;) {
      this.#calls.shift();
      if (!this.lost) this.position += this.#account(call, call.answer);
    }
  }

  // What it takes, as far as one can tell.
  #bytesOf({ wanted, given, answer }: Call, start: number): number {
    if (given !== undefined) return given.taken;
    if (answer !== undefined && 'error' in answer) return 0;
    return wanted.want(start) ?? 0;
  }

  #account(call: Call, answer: Answer): number {
    const { wanted } = call;
    const want = wanted.want(this.position);
    if ('error' in answer) return this.#accountFor(answer.error, call, want);
    const bytes = wanted.check(answer.result, this.position);
    if (want === bytes) return bytes;
    const short = want !== undefined && bytes < want && this.position + bytes === this.#bytes;
    if (short || (want === undefined && bytes === 0 && this.position === this.#bytes)) return bytes;
    throw new Error(`${wanted.name} at ${this.position} gave ${bytes} bytes, not ${want}`);
  }

  #accountFor(error: Failure, { wanted, given }: Call, want: number | undefined): number {
    if (given?.reason === error) return given.taken;
    const { code } = error;
    const left = this.#bytes - this.position;
    const expected: Record<string, () => boolean> = {
      ERR_DEVMEM_READER: () => given !== undefined,
      ERR_OUT_OF_RANGE: () => want === undefined,
      ERR_DEVMEM_TOO_LONG: () => want === undefined,
      ERR_DEVMEM_TOO_MUCH: () => wanted.whole && this.#transport === 'copy',
      ERR_DEVMEM_UNEXPECTED_END: () => this.#ending === 'end' && error.bytesRead === left,
      ECONNRESET: () => this.#ending === 'reset',
      ERR_DEVMEM_CLOSED: () => this.over && this.#ending !== 'end',
    };
    if (expected[String(code)]?.() !== true) {
      throw new Error(`${wanted.name} at ${this.position}: ${String(error)}`, { cause: error });
    }
    if (code === 'ERR_DEVMEM_READER') return given!.taken;
    if (code === 'ERR_DEVMEM_UNEXPECTED_END') return wanted.asItComes ? left : 0;
    this.lost ||= wanted.asItComes && (code === 'ECONNRESET' || code === 'ERR_DEVMEM_CLOSED');
    return 0;
  }
}
