import { throwIfAborted } from '../abort.js';
import { DevmemError, outOfRange, UnexpectedEndError } from '../errors.js';
import { copyAhead } from './lookahead.js';
import type { CheckedRecordsOptions } from './options.js';
import type { Requests } from './requests.js';
import { Span } from './span.js';

/** A record of the stream: a lease of the bytes that follow its header. */
export interface StreamRecord extends Span {
  /** The bytes before, which say how long it is. */
  readonly header: Uint8Array;
}

type Result = IteratorResult<StreamRecord, undefined>;

const DONE = { done: true, value: undefined } as const;

/** Several calls of next() may be under way. An error ends it. */
export class Records implements AsyncIterableIterator<StreamRecord, undefined> {
  readonly #requests: Requests;
  readonly #options: CheckedRecordsOptions;
  readonly #signal: AbortSignal | undefined;
  #over = false;

  constructor(requests: Requests, options: CheckedRecordsOptions, signal: AbortSignal | undefined) {
    this.#requests = requests;
    this.#options = options;
    this.#signal = signal;
  }

  async next(): Promise<Result> {
    if (this.#over) return DONE;
    try {
      const result = await this.#next();
      this.#over ||= result.done === true;
      return result;
    } catch (error) {
      this.#over = true;
      throw error;
    }
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#over = true;
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // Header and record in one request, so that nobody else's comes between.
  #next(): Promise<Result> {
    const { cursor } = this.#requests;
    const { headerBytes } = this.#options;
    let header: Uint8Array | undefined;
    let bytes = 0;
    const take = (): Result | undefined => {
      if (header === undefined) {
        if (cursor.bytesAhead < headerBytes) return undefined;
        const seen = new Uint8Array(headerBytes);
        copyAhead(cursor, 0, seen);
        bytes = this.#lengthOf(seen);
        header = seen;
      }
      return this.#take(header, bytes);
    };
    const atEnd = (came: number): Result => {
      if (came === 0) return DONE;
      throw new UnexpectedEndError(headerBytes + bytes, came);
    };
    return this.#requests.makeWhole<Result>(take, () => headerBytes + bytes, atEnd, this.#signal);
  }

  #take(header: Uint8Array, bytes: number): Result | undefined {
    const { cursor } = this.#requests;
    const all = header.length + bytes;
    if (cursor.bytesAhead < all) return undefined;
    for (const batch of cursor.takeBytes(header.length)!) batch.releaseSoon();
    const span = Span.make(cursor.takeBytes(bytes)!, bytes);
    const value = Object.assign(span, { header });
    return this.#requests.took(all, { done: false, value });
  }

  #lengthOf(header: Uint8Array): number {
    const { length, limit } = this.#options;
    const bytes = length(header);
    // It may have been what gives up.
    this.#requests.check();
    throwIfAborted(this.#signal);
    if (!Number.isInteger(bytes) || bytes < 0) {
      throw outOfRange('what options.length returns', 'an integer >= 0', bytes);
    }
    if (bytes <= limit) return bytes;
    throw new DevmemError(
      'ERR_DEVMEM_TOO_LONG',
      `A record says that it has ${bytes} bytes, and options.limit is ${limit}`,
    );
  }
}
