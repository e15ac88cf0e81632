/**
 * Exact numbers of bytes of a stream, wherever they lie: what parsing a protocol and filling
 * a tensor take.
 */
import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import { checkInteger, UnexpectedEndError } from '../errors.js';
import type { Target } from '../gather/engine.js';
import { Engines } from '../gather/engines.js';
import { portrait } from '../portrait.js';
import type { Cursor } from '../receive/cursor.js';
import type { FragmentStream } from '../receive/stream.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { Filling } from './filling.js';
import { copyAhead, Search } from './lookahead.js';
import {
  checkDelimiter,
  checkReadOptions,
  checkRecordsOptions,
  makeArray,
  type ReadIntoOptions,
  type ReadOptions,
  type ReadUntilOptions,
  type RecordsOptions,
} from './options.js';
import { Records, type StreamRecord } from './records.js';
import { Requests } from './requests.js';
import { Span } from './span.js';
import { checkTarget } from './target.js';

const DEFAULT_LIMIT = 65536;

/**
 * Reads a socket's stream by exact numbers of bytes; made by `socket.reader()`, and the only
 * way to read it until `releaseLock()`.
 *
 * Several calls may be under way: each gets the bytes behind those of the one before it;
 * where they are there already, promises settle in no particular order. What one cannot have,
 * because the stream ended or it was aborted, is there for the next; only `skip()` and
 * `readInto()` take bytes as they come. `position` tells how far the stream was taken.
 *
 * All reject with ERR_DEVMEM_READER after `releaseLock()`, with ERR_DEVMEM_CLOSED after the
 * socket's `close()`, and with the connection's error where that failed.
 */
export class SocketReader implements Disposable {
  /** @internal */
  readonly uncloneable = CONNECTION_STAYS;
  readonly #requests: Requests;
  readonly #cursor: Cursor;
  readonly #unlock: () => void;

  private constructor(maker: symbol, stream: FragmentStream, unlock: () => void) {
    checkMaker(maker, 'SocketReader', 'socket.reader()');
    this.#requests = new Requests(stream);
    this.#cursor = stream.cursor;
    this.#unlock = unlock;
  }

  /**
   * @internal
   * @param unlock - lets others read again
   */
  static make(stream: FragmentStream, unlock: () => void): SocketReader {
    return new SocketReader(MAKER, stream, unlock);
  }

  /** Bytes of the stream that were taken through this reader. */
  get position(): number {
    return this.#requests.position;
  }

  /**
   * The next bytes of the stream, as they lie: a lease of exactly so many.
   *
   * @param bytes - 0 to what the socket's bindings may hold (`heldLimit`)
   * @throws RangeError ERR_OUT_OF_RANGE for more, which could never be there at once
   * @throws DevmemError ERR_DEVMEM_TOO_MUCH where the memory is full of what came and it is
   *   not enough: a fragment keeps whole pages
   * @throws UnexpectedEndError ERR_DEVMEM_UNEXPECTED_END where the stream ends before
   */
  take(bytes: number, options?: ReadOptions): Promise<Span> {
    // Most often all is there.
    if (options === undefined && this.#requests.free && this.#mayTake(bytes)) {
      const span = this.#takeSpan(bytes);
      if (span !== undefined) return Promise.resolve(span);
    }
    return this.#takeOrWait(bytes, options);
  }

  /**
   * The next bytes of the stream as an array of one's own, from any memory: for headers and
   * the like. Of `cuda` memory fragment by fragment, over the bus, before it returns.
   *
   * @param bytes - 0 to `buffer.constants.MAX_LENGTH`
   * @throws UnexpectedEndError where the stream ends before
   */
  async read(bytes: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const signal = checkReadOptions(options);
    const target = makeArray(bytes);
    let at = 0;
    const take = (): Uint8Array | undefined => {
      const came = copyAhead(this.#cursor, 0, target.subarray(at));
      this.#release(came);
      at += came;
      return at === bytes ? this.#requests.took(bytes, target) : undefined;
    };
    const giveUp = (): void => {
      this.#cursor.prepend(target.subarray(0, at));
    };
    const atEnd = (): never => {
      throw new UnexpectedEndError(bytes, at);
    };
    return await this.#requests.make(take, atEnd, { signal, giveUp });
  }

  /**
   * A copy of the next bytes, which stay there for whoever reads next. Fewer only where the
   * stream ends before, and none at its end.
   *
   * @param bytes - 1 to what the socket's bindings may hold
   */
  async peek(bytes: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const signal = checkReadOptions(options);
    checkInteger('bytes', bytes, 1, this.#requests.most);
    const take = (): Uint8Array | undefined =>
      this.#cursor.bytesAhead < bytes ? undefined : this.#look(bytes);
    const rest = (): Uint8Array => this.#look(Math.min(this.#cursor.bytesAhead, bytes));
    let copy: Uint8Array | Error | undefined;
    const giveUp = (): void => {
      // Before anybody else takes it.
      copy = resultOf(rest);
    };
    const atEnd = (): Uint8Array => {
      if (copy instanceof Error) throw copy;
      return copy!;
    };
    const tooMuch = (): Error => this.#requests.tooMuch(bytes);
    return await this.#requests.make(take, atEnd, { signal, giveUp, tooMuch });
  }

  /**
   * Drops the next bytes, as they come.
   *
   * @param bytes - 0 or more
   * @throws UnexpectedEndError where the stream ends before; what came of it is dropped
   */
  async skip(bytes: number, options: ReadOptions = {}): Promise<void> {
    const signal = checkReadOptions(options);
    checkInteger('bytes', bytes, 0, Number.MAX_SAFE_INTEGER);
    let left = bytes;
    const take = (): true | undefined => {
      for (let batch; left > 0 && (batch = this.#cursor.takeUpTo(left)) !== undefined;) {
        left -= this.#requests.took(batch.total, batch.total);
        batch.releaseSoon();
      }
      return left === 0 ? true : undefined;
    };
    const atEnd = (): never => {
      throw new UnexpectedEndError(bytes, bytes - left);
    };
    await this.#requests.make(take, atEnd, { signal });
  }

  /**
   * A copy of all up to the next delimiter and with it, which are taken.
   *
   * @param delimiter - bytes, or a string in UTF-8
   * @throws DevmemError ERR_DEVMEM_TOO_LONG where it does not end within `options.limit`
   *   bytes; UnexpectedEndError where the stream does before. Nothing is taken then
   */
  async readUntil(
    delimiter: string | Uint8Array,
    options: ReadUntilOptions = {},
  ): Promise<Uint8Array> {
    const signal = checkReadOptions(options);
    const { most } = this.#requests;
    const { limit = Math.min(DEFAULT_LIMIT, most) } = options;
    checkInteger('options.limit', limit, 1, most);
    const search = new Search(this.#cursor, checkDelimiter(delimiter), limit);
    const take = (): Uint8Array | undefined => {
      const found = search.find();
      return found && this.#drop(found);
    };
    const atEnd = (came: number): never => {
      throw new UnexpectedEndError(`${came} bytes without the delimiter`, came);
    };
    return await this.#requests.makeWhole(take, () => limit, atEnd, signal);
  }

  /**
   * Copies the next bytes of the stream to a place of the caller's, one behind the other, as
   * they come and however many. The target is in use until the promise settles, also where
   * that is by an abort.
   *
   * @returns bytes that came: fewer than asked for only where the stream ended
   * @throws DevmemError ERR_DEVMEM_WRONG_MEMORY for the memory that the socket receives into;
   *   ERR_DEVMEM_NOT_MAPPABLE where nothing can copy from the one to the other;
   *   ERR_DEVMEM_CLOSED where the target is closed meanwhile
   * @throws CudaError ERR_DEVMEM_CUDA where CUDA fails: before any byte is taken where it
   *   cannot begin; what it fails to copy is taken all the same
   */
  async readInto(target: Target, options: ReadIntoOptions = {}): Promise<number> {
    const signal = checkReadOptions(options);
    const place = checkTarget(target, options, this.#requests.stream.bindings);
    const { stream } = this.#requests;
    const memories = stream.bindings.map(({ memory }) => memory);
    const engines = new Engines(memories, place.target);
    if (engines.opening !== undefined) this.#requests.hold(engines.opening);
    const took = (bytes: number): number => this.#requests.took(bytes, bytes);
    const filling = new Filling(stream, place, engines, took);
    const giveUp = (): void => {
      filling.endLanding();
    };
    try {
      await this.#requests.make(filling.take, () => true as const, { signal, giveUp });
    } finally {
      await filling.settle();
    }
    return filling.placed;
  }

  /**
   * Records that say in a header how long they are, one after the other until the stream's
   * end: each a lease of what follows its header. Leaving the loop leaves the stream behind
   * the last record.
   *
   * @throws DevmemError ERR_DEVMEM_TOO_LONG for a record longer than `options.limit`
   * @throws UnexpectedEndError where the stream ends inside a record
   */
  records(options: RecordsOptions): AsyncIterableIterator<StreamRecord, undefined> {
    const signal = checkReadOptions(options);
    const checked = checkRecordsOptions(options, this.#requests.most);
    return new Records(this.#requests, checked, signal);
  }

  /**
   * Lets the socket be read in other ways again, from where this reader came to. Calls under
   * way reject with ERR_DEVMEM_READER. A second call does nothing.
   */
  releaseLock(): void {
    if (this.#requests.released) return;
    this.#requests.release();
    this.#unlock();
  }

  /** `releaseLock()`, for `using`. */
  [Symbol.dispose](): void {
    this.releaseLock();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('SocketReader', () => ({
      position: this.position,
      released: this.#requests.released,
    }));
  }

  async #takeOrWait(bytes: number, options: ReadOptions = {}): Promise<Span> {
    const signal = checkReadOptions(options);
    checkInteger('bytes', bytes, 0, this.#requests.most);
    const atEnd = (came: number): never => {
      throw new UnexpectedEndError(bytes, came);
    };
    const take = (): Span | undefined => this.#takeSpan(bytes);
    return await this.#requests.makeWhole(take, () => bytes, atEnd, signal);
  }

  #mayTake(bytes: number): boolean {
    return Number.isInteger(bytes) && bytes > 0 && bytes <= this.#requests.most;
  }

  #takeSpan(bytes: number): Span | undefined {
    const batches = this.#cursor.takeBytes(bytes);
    return batches && this.#requests.took(bytes, Span.make(batches, bytes));
  }

  #look(bytes: number): Uint8Array<ArrayBuffer> {
    const target = new Uint8Array(bytes);
    copyAhead(this.#cursor, 0, target);
    return target;
  }

  #release(bytes: number): void {
    for (const batch of this.#cursor.takeBytes(bytes)!) batch.releaseSoon();
  }

  // What a copy was made of.
  #drop<T extends Uint8Array>(copied: T): T {
    this.#release(copied.length);
    return this.#requests.took(copied.length, copied);
  }
}

function resultOf<T>(call: () => T): T | Error {
  try {
    return call();
  } catch (error) {
    return error as Error;
  }
}
