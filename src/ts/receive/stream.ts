/**
 * A socket's receiving side: has native code read, puts what comes at the cursor, and
 * gives released fragments back.
 *
 * Reading is driven by demand: the socket is polled while somebody waits or
 * fewer than READ_AHEAD batches are ready, so a slow consumer leaves data in the
 * kernel, where TCP holds the sender back.
 */
import { channel } from 'node:diagnostics_channel';

import { systemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { type Layout, type Mapping, native, type OnBatch, type Receiver } from '../native.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { Batch } from './batch.js';
import type { Binding } from './binding.js';
import { Cursor, type Supply } from './cursor.js';
import { Lease, type Lessor } from './lease.js';
import type { Waiter } from './pool.js';
import { receiveError } from './receive-errors.js';
import { ReturnQueue } from './return-queue.js';
import { type Ring, ring } from './ring.js';
import { StallReport } from './stall.js';
import { COUNTER_NAMES, createCounters, readStats, type ReceiveStats } from './stats.js';
import type { TransportName } from './transports/transport.js';
import { UnreleasedWatch } from './unreleased.js';

const tokenMismatch = channel('devmem-tcp:token-mismatch');

// One batch in use and one ready keeps the consumer busy.
const READ_AHEAD = 2;

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

export class FragmentStream implements Lessor, Supply, Waiter {
  readonly uncloneable = CONNECTION_STAYS;
  /** Where the stream stands: what is read, is read here. */
  readonly cursor: Cursor;
  readonly counters = createCounters();
  /** Lessor: where the transport can. */
  readonly releasePart: ((number: number, at: number, bytes: number) => void) | undefined;
  readonly #ring: Ring;
  readonly #flags: Layout['flags'];
  readonly #bindings: Binding[] = [];
  readonly #receiver: Receiver;
  readonly #returns: ReturnQueue;
  readonly #report: StallReport;
  readonly #unreleased: UnreleasedWatch;
  readonly #name: () => string;
  // The connection's, which nobody knows any more once it is gone.
  #ends: string | undefined;
  #polling = false;
  // Memory has to become free before reading goes on.
  #stalled = false;
  #missed = 0;
  // Nothing more is handed out: the stream ended, failed, or is not wanted any more.
  #over = false;
  #discarding = false;
  #onEnd: ((error: Error | undefined) => void) | undefined;
  #onFinished: (() => void) | undefined;

  /**
   * Counts in the bindings' memory from now until detach().
   *
   * @param bindings - one or more of the same transport, none twice
   * @param name - tells the connection's ends
   */
  constructor(bindings: readonly [Binding, ...Binding[]], name: () => string) {
    this.#name = () => (this.#ends ??= name());
    this.cursor = new Cursor(this);
    this.#report = new StallReport(this.#name);
    this.#unreleased = new UnreleasedWatch(this.#name);
    this.#ring = ring();
    this.#flags = native().layout.flags;
    const onBatch: OnBatch = (first, count, flags, error, linear) => {
      this.#onBatch(first, count, flags, error, linear);
    };
    const [first, ...others] = bindings;
    this.#receiver = new (native().Receiver)(first.pool.native, this.counters, onBatch);
    this.#returns = new ReturnQueue(this.#ring.capacity, (numbers, count) => {
      this.#returned(this.#receiver.release(numbers, count));
    });
    if (first.divides) {
      this.releasePart = (number, at, bytes) => {
        this.#receiver.releasePart(number, at, bytes);
        this.#freed();
      };
    }
    this.#bindings.push(first);
    for (const binding of others) this.addBinding(binding);
  }

  /**
   * Receives from a socket.
   *
   * @param fd - a connected TCP socket that nobody else reads; duplicated
   * @throws SystemError where the socket cannot be polled
   */
  open(fd: number): void {
    const status = this.#receiver.open(fd);
    if (status < 0) throw systemError(status, 'uv_poll_init');
    this.#name();
  }

  /** Receives into this binding's memory too. One that is closed may still have sent something. */
  addBinding(binding: Binding): void {
    const status = this.#receiver.addPool(binding.pool.native);
    if (status < 0) throw systemError(status, 'Receiver.addPool');
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

  /** Calls back once, when the reader has taken the peer's end, after the last byte. */
  onFinished(callback: () => void): void {
    this.#onFinished = callback;
  }

  get stats(): ReceiveStats {
    return readStats(this.counters);
  }

  /** How fragments arrive, once it is open. */
  get transport(): TransportName {
    const { transport, unqueued } = this.#bindings[0]!;
    return unqueued === undefined || this.#receiver.queued ? transport : unqueued;
  }

  /** Whether it is not read for want of memory. */
  get stalled(): boolean {
    return this.#stalled;
  }

  /** Fragments that the consumer (or the cursor) holds. */
  get held(): number {
    return this.#receiver.held;
  }

  /** Puts bytes that were read before in front of the stream. */
  prepend(bytes: Uint8Array): void {
    this.cursor.prepend(bytes);
  }

  /** Ends the stream with an error that did not come from reading. */
  fail(error: Error): void {
    this.#finish(error);
  }

  /**
   * Stops reading. What was not consumed is released; what is held stays valid.
   *
   * @param error - why, for whoever reads: unless the end was taken before
   */
  stop(error?: Error): void {
    this.#over = true;
    this.#stopReading();
    this.cursor.close(error);
  }

  /**
   * Reads on, for the end alone: what comes from now on is dropped, and what was not
   * consumed is released. onEnd tells of the peer's end, or of a failure.
   */
  discard(): void {
    this.#stopReading();
    this.cursor.close();
    if (this.#over) return;
    this.#discarding = true;
    const status = this.#receiver.discard();
    if (status < 0) this.fail(systemError(status, 'uv_poll_start'));
  }

  /**
   * The connection is gone: nothing more is read, batches that are ready can still
   * be taken, and the descriptor closes once nothing of it is held.
   */
  detach(): void {
    this.#finish(undefined);
    this.#receiver.close();
    this.#unreleased.end();
    for (const { pool } of this.#bindings) {
      pool.released();
      pool.settle();
    }
  }

  /** Sets the most that the kernel queues for this socket, in bytes. */
  limitReceiveBuffer(bytes: number): void {
    this.#receiver.setReceiveBuffer(bytes);
  }

  /** Reads on at every so many bytes of the stream, from what was taken last. */
  setLowWaterMark(bytes: number): void {
    const status = this.#receiver.setLowWaterMark(bytes, this.cursor.bytesAhead);
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
  get onlySource(): number | undefined {
    return this.#bindings.length === 1 ? this.#bindings[0]!.id : undefined;
  }

  /** Lessor */
  memoryOf(dmabufId: number): DmaBuf | undefined {
    return this.#bindings.find(({ id }) => id === dmabufId)?.memory;
  }

  /** Waiter */
  canResume(patient: boolean): boolean {
    return this.#receiver.canResume(patient);
  }

  /** Waiter: there is memory again. */
  resumeReading(): void {
    this.#endStall();
    this.wanted();
  }

  /** Waiter: where nobody can release anything before the cursor hands out what it has. */
  stillShort(): void {
    const { cursor } = this;
    let again = true;
    while (again && this.held <= cursor.fragmentsAhead && this.#receiver.alone) {
      again = cursor.full();
    }
  }

  /** Supply: polls, while somebody waits or little is ready. */
  wanted(): void {
    if (this.#stalled) this.stillShort();
    const idle = this.#polling || this.#stalled || this.#over || this.#discarding;
    if (idle || this.#enough()) return;
    const status = this.#receiver.resume(this.cursor.waiting);
    if (status < 0) this.fail(systemError(status, 'uv_poll_start'));
    else this.#polling = true;
  }

  /**
   * Has what comes next copied straight to a place, where the transport can: with nothing
   * before it at the cursor. Needs no memory of the bindings'.
   *
   * @returns whether it is so, until endLanding()
   */
  land(target: Mapping | Uint8Array, at: number, length: number): boolean {
    if (this.#over || this.#receiver.land(target, at, length) !== 0) return false;
    this.#endStall();
    this.wanted();
    return true;
  }

  /** @returns how many bytes came there */
  endLanding(): number {
    return this.#receiver.endLanding();
  }

  /** Supply */
  handedOut(batch: Batch): void {
    this.#unreleased.handedOut(batch);
  }

  /** Supply */
  finished(): void {
    this.#onFinished?.();
  }

  #enough(): boolean {
    return !this.cursor.waiting && this.cursor.ready >= READ_AHEAD;
  }

  #onBatch(first: number, count: number, flags = 0, error = 0, linear?: Buffer): void {
    if (count > 0) this.#take(first, count, linear);
    if (flags !== 0) this.#heed(flags);
    if (error !== 0) this.fail(receiveError(error, this.#bindings[0]!));
    else if ((flags & this.#flags.end) !== 0) this.#finish(undefined);
  }

  #take(first: number, count: number, linear: Buffer | undefined): void {
    const columns = this.#ring.columnsOf(first);
    const base = first % this.#ring.capacity;
    this.cursor.push(Batch.make(new Lease(this, first, count), columns, base, linear));
    if (this.#enough()) this.#pause();
  }

  #heed(flags: number): void {
    if ((flags & this.#flags.landed) !== 0) this.cursor.again();
    if ((flags & this.#flags.stalled) !== 0) this.#beginStall();
    if ((flags & this.#flags.ahead) === 0) return;
    // Reading goes on for whoever waits, or begins to.
    this.#polling = false;
    if (this.cursor.waiting) this.wanted();
  }

  // Any of several memories may be the one that is short; it is told of the shortest.
  #beginStall(): void {
    const { pool, stallWarningMs } = this.#bindings.reduce((shortest, each) =>
      each.pool.available < shortest.pool.available ? each : shortest,
    );
    this.#polling = false;
    this.#stalled = true;
    this.#report.begin(pool, stallWarningMs);
    for (const binding of this.#bindings) binding.pool.wait(this);
    // It may have come free meanwhile.
    if (this.canResume(true)) this.resumeReading();
    else this.stillShort();
  }

  #endStall(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    this.#report.end();
    for (const { pool } of this.#bindings) pool.forget(this);
  }

  #finish(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopReading();
    this.cursor.end(error);
    this.#onEnd?.(error);
  }

  #stopReading(): void {
    this.#pause();
    this.#endStall();
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
    this.#freed();
  }

  #freed(): void {
    for (const { pool } of this.#bindings) pool.released();
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

const TOKENS_MISSED = COUNTER_NAMES.indexOf('tokensMissed');
