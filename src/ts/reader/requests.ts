/** What all calls of a reader have in common: their turn, their end, and what gives them up. */
import { DevmemError } from '../errors.js';
import type { Cursor } from '../receive/cursor.js';
import type { Take, Wish } from '../receive/request-queue.js';
import type { FragmentStream } from '../receive/stream.js';

const END = Symbol('the end of the stream');

export class Requests {
  readonly cursor: Cursor;
  readonly #stream: FragmentStream;
  readonly #waiting = new Set<Take<unknown>>();
  #released = false;
  // Settles when the next request may be made.
  #gate: Promise<unknown> | undefined;
  /** Bytes of the stream that were taken. */
  position = 0;

  constructor(stream: FragmentStream) {
    this.#stream = stream;
    this.cursor = stream.cursor;
  }

  get stream(): FragmentStream {
    return this.#stream;
  }

  /** Whether nothing is answered any more. */
  get released(): boolean {
    return this.#released;
  }

  /** Whether a request made now is the next. */
  get free(): boolean {
    return !this.#released && this.#gate === undefined && !this.cursor.waiting;
  }

  /** Has requests wait for something, which does not reject. */
  hold(until: Promise<unknown>): void {
    const gate = Promise.all([this.#gate, until]);
    this.#gate = gate;
    void gate.then(() => {
      if (this.#gate === gate) this.#gate = undefined;
    });
  }

  /** Bytes that can be held at once at most. */
  get most(): number {
    let bytes = 0;
    for (const { heldLimit } of this.#stream.bindings) bytes += heldLimit;
    return bytes;
  }

  /** Counts bytes as taken. */
  took<T>(bytes: number, value: T): T {
    this.position += bytes;
    return value;
  }

  /** @throws DevmemError ERR_DEVMEM_READER once released */
  check(): void {
    if (this.#released) throw lockReleased();
  }

  /**
   * What `take` makes, in its turn.
   *
   * @param atEnd - called once the stream ended before: what is made then, or an error thrown
   */
  async make<T>(take: Take<T>, atEnd: () => T, wish: Wish): Promise<T> {
    this.check();
    if (this.#gate !== undefined) {
      await this.#gate;
      this.check();
    }
    this.#waiting.add(take);
    try {
      const made = await this.cursor.request<T | typeof END>(take, END, wish);
      if (made !== END) return made;
    } finally {
      this.#waiting.delete(take);
    }
    const { failure, closed } = this.cursor;
    if (failure !== undefined) throw failure;
    if (closed) throw new DevmemError('ERR_DEVMEM_CLOSED', 'The socket was closed');
    return atEnd();
  }

  /**
   * What `take` makes of bytes that are all there, or nothing is taken.
   *
   * @param bytes - how many it takes, as far as is known
   * @param atEnd - called with how many were there at the end
   */
  makeWhole<T>(
    take: Take<T>,
    bytes: () => number,
    atEnd: (came: number) => T,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    let came = 0;
    return this.make(take, () => atEnd(came), {
      signal,
      giveUp: () => {
        came = this.cursor.bytesAhead;
      },
      tooMuch: () => this.tooMuch(bytes()),
    });
  }

  /** Why so many bytes cannot come. */
  tooMuch(bytes: number): DevmemError {
    return new DevmemError(
      'ERR_DEVMEM_TOO_MUCH',
      `${bytes} bytes cannot be there at once: ${this.cursor.bytesAhead} came, and their pages are all of the memory that this stream can hold. Ask for fewer at once, use readInto(), or allocate more memory`,
    );
  }

  /** Rejects whatever waits, and what is asked for later. */
  release(): void {
    this.#released = true;
    // From the last on: none is to have what the one before it was given up for.
    for (const take of [...this.#waiting].reverse()) this.cursor.cancel(take, lockReleased());
  }
}

function lockReleased(): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_READER',
    'The reader was released by releaseLock(): get another one by socket.reader()',
  );
}
