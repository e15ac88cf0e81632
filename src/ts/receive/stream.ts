/**
 * A socket's fragments, in order: takes batches from native code, hands them to
 * whoever asks next, and gives released ones back.
 *
 * Reading is driven by demand: the socket is polled while somebody waits or
 * fewer than READ_AHEAD batches are ready, so a slow consumer leaves data in the
 * kernel, where TCP holds the sender back.
 */
import { channel } from 'node:diagnostics_channel';

import { DevmemError, systemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { BATCH_END, BATCH_STALLED, type OnBatch, type Receiver } from '../native.js';
import { Batch, type Lessor } from './batch.js';
import type { Binding } from './binding.js';
import type { Credits, Waiter } from './credits.js';
import { columnsOf, linearColumns, SLOT_CAPACITY } from './ring.js';
import { COUNTER_NAMES, createCounters, readStats, type ReceiveStats } from './stats.js';

const tokenMismatch = channel('devmem-tcp:token-mismatch');

// One batch in use and one ready keeps the consumer busy.
const READ_AHEAD = 2;

const stalled = channel('devmem-tcp:stall');

interface PendingNext {
  resolve(batch: Batch | undefined): void;
  reject(error: Error): void;
}

/** Published on the diagnostics channel `devmem-tcp:stall`: reading stopped for want of memory. */
export interface StallMessage {
  /** The connection's ends. */
  socket: string;
  /** Bytes of the binding's memory that fragments in use hold. */
  heldBytes: number;
  /** The limit that they reached. */
  heldLimit: number;
}

/**
 * Published on the diagnostics channel `devmem-tcp:token-mismatch`: the kernel freed
 * fewer fragments than were given back. Never, unless something else returns this
 * socket's tokens.
 */
export interface TokenMismatchMessage {
  /** The connection's ends. */
  socket: string;
  /** Fragments in all that the kernel did not know. */
  missed: number;
}

export class FragmentStream implements Lessor, Waiter {
  readonly counters = createCounters();
  readonly #bindings: Binding[] = [];
  readonly #receiver: Receiver;
  readonly #ready: Batch[] = [];
  readonly #waiting: PendingNext[] = [];
  readonly #returns: ReturnQueue;
  readonly #name: () => string;
  #polling = false;
  // Whose memory has to become free before reading goes on.
  #stalledBy: Credits | undefined;
  #stallTimer: NodeJS.Timeout | undefined;
  #missed = 0;
  // Over: nothing more will come from native code (end, error, or closed).
  #over = false;
  #error: Error | undefined;
  #onEnd: ((error: Error | undefined) => void) | undefined;

  /**
   * @param bindings - one or more of the same transport, none twice
   * @param fd - a connected TCP socket that nobody else reads; duplicated
   * @param name - tells the connection's ends
   * @throws SystemError where the socket cannot be polled
   */
  constructor(bindings: readonly [Binding, ...Binding[]], fd: number, name: () => string) {
    this.#name = name;
    const onBatch: OnBatch = (first, count, flags, error, linear) => {
      this.#onBatch(first, count, flags, error, linear);
    };
    this.#receiver = bindings[0].createReceiver(this.counters, onBatch);
    this.#returns = new ReturnQueue((numbers, count) => {
      this.#returned(this.#receiver.release(numbers, count));
    });
    const status = this.#receiver.open(fd);
    if (status < 0) throw systemError(status, 'uv_poll_init');
    for (const binding of bindings) this.addBinding(binding);
  }

  /** Receives into this binding's memory too. One that is closed may still have sent something. */
  addBinding(binding: Binding): void {
    binding.admit(this.#receiver);
    binding.sockets++;
    this.#bindings.push(binding);
  }

  /** What is received into, in the order of its addition. */
  get bindings(): readonly Binding[] {
    return this.#bindings;
  }

  /** Calls back once, when the peer ended its stream or the stream failed. */
  onEnd(callback: (error: Error | undefined) => void): void {
    this.#onEnd = callback;
  }

  get stats(): ReceiveStats {
    return readStats(this.counters);
  }

  /** Fragments that the consumer (or the queue of ready batches) holds. */
  get held(): number {
    return this.#receiver.held;
  }

  /** The next batch; undefined after the end. An error rejects one call, once. */
  next(): Promise<Batch | undefined> {
    return this.nextAs(asItIs);
  }

  /** As next(), with what is made of the batch at the moment that it is there. */
  nextAs<T>(make: (batch: Batch | undefined) => T): Promise<T> {
    const batch = this.#ready.shift();
    if (batch !== undefined) {
      this.#poll();
      return Promise.resolve(make(batch));
    }
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#over) return Promise.resolve(make(undefined));
    return new Promise((resolve, reject) => {
      this.#waiting.push({
        resolve: (next) => {
          resolve(make(next));
        },
        reject,
      });
      this.#poll();
    });
  }

  /** Puts bytes that were read before in front of the stream. */
  prepend(bytes: Uint8Array): void {
    const lessor: Lessor = {
      releaseRange: () => {},
      releaseOne: () => {},
      memoryOf: () => undefined,
    };
    this.#ready.unshift(new Batch(lessor, linearColumns(bytes.length), 0, 0, 1, bytes));
  }

  /** Ends the stream with an error that did not come from reading. */
  fail(error: Error): void {
    if (this.#over) return;
    this.#error = error;
    this.#finish(error);
  }

  /** Stops reading. What was not consumed is released; what is held stays valid. */
  stop(): void {
    this.#over = true;
    this.#stopReading();
    for (const batch of this.#ready.splice(0)) batch.release();
    this.#settle();
  }

  /**
   * The connection is gone: nothing more is read, batches that are ready can still
   * be taken, and the descriptor closes once nothing of it is held.
   */
  detach(): void {
    this.#finish(undefined);
    this.#receiver.close();
    for (const binding of this.#bindings) {
      binding.sockets--;
      binding.settleMemory();
    }
  }

  /** Sets the most that the kernel queues for this socket, in bytes. */
  limitReceiveBuffer(bytes: number): void {
    this.#receiver.setReceiveBuffer(bytes);
  }

  /** Reads on at every so many bytes of the stream, from what was taken last. */
  setLowWaterMark(bytes: number): void {
    const ahead = this.#ready.reduce((sum, batch) => sum + batch.byteLength, 0);
    const status = this.#receiver.setLowWaterMark(bytes, ahead);
    if (status < 0) throw systemError(status, 'setsockopt(SO_RCVLOWAT)');
  }

  ref(): void {
    this.#receiver.ref();
  }

  unref(): void {
    this.#receiver.unref();
  }

  /** Lessor */
  releaseRange(first: number, count: number): void {
    this.#returned(this.#receiver.releaseRange(first, count));
  }

  /** Lessor */
  releaseOne(number: number, last: boolean): void {
    this.#returns.add(number, last);
  }

  /** Lessor */
  memoryOf(dmabufId: number): DmaBuf | undefined {
    const [first] = this.#bindings;
    // Fragments of the copy transport have no binding's id.
    if (first?.transport === 'copy') return first.memory;
    return this.#bindings.find(({ id }) => id === dmabufId)?.memory;
  }

  /** Waiter: credits are there again. */
  resumeReading(): void {
    this.#stalledBy = undefined;
    clearTimeout(this.#stallTimer);
    this.#poll();
  }

  #onBatch(first: number, count: number, flags = 0, error = 0, linear?: Buffer): void {
    if (count > 0) this.#take(first, count, linear);
    if ((flags & BATCH_STALLED) !== 0) this.#stall();
    if (error !== 0) this.fail(receiveError(error));
    else if ((flags & BATCH_END) !== 0) this.#finish(undefined);
  }

  #take(first: number, count: number, linear: Buffer | undefined): void {
    const columns = columnsOf(Math.floor(first / SLOT_CAPACITY));
    const batch = new Batch(this, columns, first % SLOT_CAPACITY, first, count, linear);
    const next = this.#waiting.shift();
    if (next !== undefined) next.resolve(batch);
    else this.#ready.push(batch);
    if (this.#waiting.length === 0 && this.#ready.length >= READ_AHEAD) this.#pause();
  }

  // Where several memories are short, the others' turn comes when reading is tried again.
  #stall(): void {
    const { credits, stallWarningMs } = this.#bindings.reduce((shortest, each) =>
      each.credits.available < shortest.credits.available ? each : shortest,
    );
    this.#stalledBy = credits;
    this.#polling = false;
    if (stallWarningMs < Infinity) {
      this.#stallTimer = setTimeout(() => {
        this.#warnOfStall(credits, stallWarningMs);
      }, stallWarningMs).unref();
    }
    if (stalled.hasSubscribers) {
      const { held: heldBytes, limit: heldLimit } = credits;
      stalled.publish({ socket: this.#name(), heldBytes, heldLimit } satisfies StallMessage);
    }
    credits.wait(this);
  }

  #warnOfStall({ held, limit }: Credits, ms: number): void {
    process.emitWarning(
      `${this.#name()} has not been read for ${ms / 1000} s: fragments in use hold ${held} of ${limit} bytes of its memory`,
      {
        type: 'DevmemStallWarning',
        code: 'DEVMEM_STALL',
        detail:
          'Release fragments and batches (or declare them with `using`), or allocate more memory.',
      },
    );
  }

  #finish(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopReading();
    this.#settle();
    this.#onEnd?.(error);
  }

  // Nothing more will come: tells those who wait.
  #settle(): void {
    for (const next of this.#waiting.splice(0)) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) next.reject(error);
      else next.resolve(undefined);
    }
  }

  #poll(): void {
    if (this.#polling || this.#stalledBy !== undefined || this.#over) return;
    if (this.#waiting.length === 0 && this.#ready.length >= READ_AHEAD) return;
    const status = this.#receiver.resume();
    if (status < 0) this.fail(systemError(status, 'uv_poll_start'));
    else this.#polling = true;
  }

  #stopReading(): void {
    this.#pause();
    clearTimeout(this.#stallTimer);
    this.#stalledBy?.forget(this);
  }

  #pause(): void {
    if (!this.#polling) return;
    this.#polling = false;
    this.#receiver.pause();
  }

  #returned(status: number | undefined): void {
    if (status !== undefined) {
      process.emitWarning(systemError(status, 'setsockopt(SO_DEVMEM_DONTNEED)').message, {
        code: 'DEVMEM_TOKEN_RETURN',
        detail: 'The fragments stay held by the kernel until their socket closes.',
      });
    }
    const missed = this.counters[TOKENS_MISSED]!;
    if (missed !== this.#missed) this.#tellMissed(missed);
    for (const binding of this.#bindings) {
      binding.credits.released();
      binding.settleMemory();
    }
  }

  #tellMissed(missed: number): void {
    const message: TokenMismatchMessage = { socket: this.#name(), missed };
    tokenMismatch.publish(message);
    if (this.#missed === 0) {
      process.emitWarning(
        `${message.socket}: the kernel did not know ${missed} of the fragments given back`,
        {
          code: 'DEVMEM_TOKEN_MISMATCH',
          detail: 'Does anything else return tokens of this socket?',
        },
      );
    }
    this.#missed = missed;
  }
}

const asItIs = (batch: Batch | undefined) => batch;

const TOKENS_MISSED = COUNTER_NAMES.indexOf('tokensMissed');

// Error 74: a record that cannot be true (src/native/receive/records.h).
const EBADMSG = -74;

function receiveError(errno: number): Error {
  if (errno === EBADMSG) {
    return new DevmemError(
      'ERR_DEVMEM_BAD_RECORD',
      "recvmsg delivered a fragment that is not in this socket's memory, or a record that makes no sense, and the connection was closed. The former happens when the connection's packets reach a queue of a binding that the socket does not know: steer them to its own, or give it the other one too, as one of `binding: [first, other]` or with addBinding()",
    );
  }
  return systemError(errno, 'recvmsg');
}

/**
 * Single releases on their way to the kernel, gathered into one call: flushed
 * when their batch is done, when the queue is full, or at the end of this turn of
 * the event loop.
 */
class ReturnQueue {
  readonly #numbers = new Uint32Array(SLOT_CAPACITY);
  readonly #flushTo: (numbers: Uint32Array, count: number) => void;
  #count = 0;
  #scheduled = false;

  constructor(flushTo: (numbers: Uint32Array, count: number) => void) {
    this.#flushTo = flushTo;
  }

  add(number: number, flush: boolean): void {
    this.#numbers[this.#count++] = number;
    if (flush || this.#count === this.#numbers.length) this.#flush();
    else if (!this.#scheduled) this.#schedule();
  }

  #schedule(): void {
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const count = this.#count;
    this.#count = 0;
    if (count > 0) this.#flushTo(this.#numbers, count);
  }
}
