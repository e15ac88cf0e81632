import { EventEmitter } from 'node:events';
import type net from 'node:net';
import type { Writable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';
import { inspect } from 'node:util';

import { onAbort } from '../abort.js';
import { checkMaker, MAKER } from '../construction.js';
import { checkObject, DevmemError, invalidArgType } from '../errors.js';
import { portrait } from '../portrait.js';
import { SocketReader } from '../reader/reader.js';
import type { Batch } from '../receive/batch.js';
import type { Binding } from '../receive/binding.js';
import type { Fragment } from '../receive/fragment.js';
import type { ReceiveStats } from '../receive/stats.js';
import { FragmentStream } from '../receive/stream.js';
import type { TransportName } from '../receive/transports/transport.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { checkAddition, type CheckedBindings } from './bindings.js';
import { Closing } from './closing.js';
import { BatchIterator, FragmentIterator } from './iterators.js';
import { OpenSockets } from './open-sockets.js';
import { ReceiveShares, receiveWindow } from './receive-window.js';
import { checkLowWaterMark, type SocketOptions } from './socket-options.js';
import { checkTakeOver, takeOver } from './takeover.js';

/** What a socket counted, and what it holds now. */
export interface SocketStats extends ReceiveStats {
  /** Fragments handed out and not released. */
  heldFragments: number;
}

/** Options of `DevmemSocket.batches()`. */
export interface BatchesOptions {
  /** Leaving the loop before the stream's end leaves the connection as it is. Default: false. */
  preventClose?: boolean;
}

/**
 * A TCP connection of which the receiving side yields fragments of a dma-buf.
 *
 * Iterate it for fragments, or `batches()` for many at a time. Write to
 * `writable`. Leaving the loop before the stream's end destroys the connection, as
 * with Node's own streams; fragments still held stay valid until released.
 *
 * Events: `'close'` when the connection is gone.
 */
export class DevmemSocket extends EventEmitter implements AsyncIterable<Fragment>, AsyncDisposable {
  /** @internal */
  readonly uncloneable = CONNECTION_STAYS;
  /** @internal Which of this thread's it is, from 1. */
  readonly number: number;
  readonly #socket: net.Socket;
  readonly #stream: FragmentStream;
  readonly #shares: ReceiveShares;
  readonly #closing: Closing;
  // Nothing more comes from the kernel.
  #gone = false;
  #reader: SocketReader | undefined;

  private constructor(
    maker: symbol,
    socket: net.Socket,
    stream: FragmentStream,
    options: SocketOptions,
  ) {
    checkMaker(maker, 'DevmemSocket', 'connect(), createServer() or adopt()');
    super();
    const { signal, lowWaterMark, closeTimeout } = options;
    this.#socket = socket;
    this.#stream = stream;
    stream.open(checkTakeOver(socket));
    if (lowWaterMark !== undefined) stream.setLowWaterMark(lowWaterMark);
    const { head, allowHalfOpen } = takeOver(socket);
    this.#prepend(options.head, head);
    // Counted from the stream's start, which is where those begin.
    if (lowWaterMark !== undefined) stream.setLowWaterMark(lowWaterMark);
    this.#shares = new ReceiveShares(stream);
    for (const binding of stream.bindings) this.#shares.join(receiveWindow(binding));
    const opened = socketsOfThread.add(this, stream.counters);
    this.number = opened.number;
    this.#closing = new Closing(socket, stream, allowHalfOpen, closeTimeout, () => {
      this.#gone = true;
      opened.remove();
      this.#shares.leave();
      this.emit('close');
    });
    const disobey = onAbort(signal, (reason) => this.destroy(reason));
    void this.#closing.gone.then(disobey);
  }

  /**
   * @internal Throws before anything of the socket was taken.
   * @param socket - connected, read by nobody else from here on
   * @param stream - not open yet; to be detached by the caller where this throws
   * @param options - checked
   */
  static make(socket: net.Socket, stream: FragmentStream, options: SocketOptions): DevmemSocket {
    return new DevmemSocket(MAKER, socket, stream, options);
  }

  /**
   * How fragments arrive: `'cmsg'`, `'queue'` or `'zcrx'` (device memory), or `'copy'`. It is
   * the binding's, but for a socket that the token queue could not take, which is received
   * from by `'cmsg'`: one of another network namespace.
   */
  get transport(): TransportName {
    return this.#stream.transport;
  }

  /** What the socket receives into; of several bindings the first. */
  get binding(): Binding {
    return this.#stream.bindings[0]!;
  }

  /** All that the socket receives into. */
  get bindings(): readonly Binding[] {
    return this.#stream.bindings;
  }

  /**
   * Receives into another binding's memory too, from now on: to be called before the
   * connection's packets reach its queues, as after binding queues again in mid-stream.
   * The others stay, also once closed: data of theirs may be on its way.
   *
   * Reading stops where any of the bindings holds its `heldLimit`.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for anything but a
   *   binding of the devmem path, of a socket that uses it itself
   * @throws DevmemError ERR_DEVMEM_CLOSED where the binding or the socket was closed
   */
  addBinding(binding: Binding): void {
    checkAddition(binding, this.bindings);
    if (this.#gone) throw new DevmemError('ERR_DEVMEM_CLOSED', 'The socket was closed');
    if (this.bindings.includes(binding)) return;
    this.#stream.addBinding(binding);
    this.#shares.join(receiveWindow(binding));
  }

  /** What was counted until now. A new object each time; `counters` are read without one. */
  get stats(): SocketStats {
    return { ...this.#stream.stats, heldFragments: this.#stream.held };
  }

  /**
   * The counters themselves, in the order of COUNTER_NAMES: shared memory that native
   * code writes, to be read without a call. Do not write to it.
   */
  get counters(): Float64Array {
    return this.#stream.counters;
  }

  /**
   * Has reading wait until the stream has come to the next multiple of so many bytes,
   * counted from the last batch or fragment that was taken: fewer wakes and larger
   * batches. To be set to the size of fixed messages, or to that of one message or object,
   * however large, before its first byte is read; 1 ends it.
   *
   * What is waited for has to come: a stream that stops before the next multiple leaves
   * the reader waiting. Its end, an error, and a full receive buffer end the wait too.
   *
   * The kernel wakes at half of the receive buffer, or of what that may grow to
   * (net.ipv4.tcp_rmem), at the latest. See SO_RCVLOWAT in socket(7). After the
   * connection's end it does nothing.
   *
   * @param bytes - 1 (as soon as anything is there, the default) to 2^31 - 1
   * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE for anything else
   */
  setLowWaterMark(bytes: number): this {
    checkLowWaterMark('bytes', bytes);
    if (!this.#gone) this.#stream.setLowWaterMark(bytes);
    return this;
  }

  /** @internal Whether it is not read for want of memory. */
  get stalled(): boolean {
    return this.#stream.stalled;
  }

  /** This end's address, as `net.Socket` has it. */
  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  /** This end's port. */
  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  /** The peer's address, as `net.Socket` has it. */
  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  /** The peer's port. */
  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  /** Whether closing has begun. */
  get closed(): boolean {
    return this.#closing.begun;
  }

  /** What ended the connection, if it failed. */
  get error(): Error | undefined {
    return this.#closing.error;
  }

  /**
   * The connection's other direction, an ordinary stream with back-pressure.
   *
   * Unless `allowHalfOpen` is set, it ends by itself once the peer has ended its stream and
   * the reader has come to the end of it: the turn of the event loop after that. Destroying
   * it before it finished destroys the connection.
   */
  get writable(): Writable {
    return this.#closing.writable;
  }

  /**
   * Reads exact numbers of bytes: what parsing a protocol takes, and copying to a place of
   * one's own. Until its `releaseLock()` the stream cannot be read in other ways.
   *
   * @throws DevmemError ERR_DEVMEM_READER where the stream has a reader
   */
  reader(): SocketReader {
    this.#checkUnlocked();
    this.#reader = SocketReader.make(this.#stream, () => {
      this.#reader = undefined;
    });
    return this.#reader;
  }

  /**
   * Fragments one by one, in stream order. Each is a lease: release it, or declare it with
   * `using`.
   *
   * @throws DevmemError ERR_DEVMEM_READER where the stream has a reader
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Fragment, undefined> {
    this.#checkUnlocked();
    return new FragmentIterator(this.#stream.cursor, () => this.#leave(), this.#refusal);
  }

  /**
   * Fragments as they arrive, many at a time: the fast way. Each batch is a lease.
   *
   * @param options.preventClose - whether leaving the loop before the stream's end leaves the
   *   connection as it is, to be read on; by default it is destroyed
   * @throws DevmemError ERR_DEVMEM_READER where the stream has a reader
   */
  batches(options: BatchesOptions = {}): AsyncIterableIterator<Batch, undefined> {
    this.#checkUnlocked();
    const { preventClose = false } = checkObject('options', options) as BatchesOptions;
    if (typeof preventClose !== 'boolean') {
      throw invalidArgType('options.preventClose', 'a boolean', preventClose);
    }
    const leave = preventClose ? () => Promise.resolve() : () => this.#leave();
    return new BatchIterator(this.#stream.cursor, leave, this.#refusal);
  }

  /** `batches()` as a web stream. Cancelling it closes the connection. */
  toReadableStream(): ReadableStream<Batch> {
    return ReadableStream.from(this.batches());
  }

  /**
   * Ends the connection: what was written is sent, what was not read and what still comes
   * is dropped until the peer ends its own direction, and pending reads end. A peer that
   * does neither take what was written nor end is waited for as long as `closeTimeout` says.
   * Then the connection is destroyed; where something was left to be sent, by a reset, and
   * `error` is an ERR_DEVMEM_CLOSE_TIMEOUT.
   *
   * Fragments held stay valid until released. A second call waits with the first.
   *
   * @returns resolves when the connection is gone, however it went
   */
  close(): Promise<void> {
    this.#closing.close();
    return this.#closing.gone;
  }

  /**
   * Ends the connection at once, dropping what was not yet sent. Pending reads
   * reject with the error, if one is given.
   */
  destroy(error?: Error): void {
    this.#closing.destroy(error);
  }

  /** Keeps the process running while the socket reads or writes (the default). */
  ref(): this {
    this.#stream.ref();
    this.#closing.ref();
    this.#socket.ref();
    return this;
  }

  /** Lets the process end although the socket is open. */
  unref(): this {
    this.#stream.unref();
    this.#closing.unref();
    this.#socket.unref();
    return this;
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('DevmemSocket', () => {
      const { transport, localAddress, localPort, remoteAddress, remotePort } = this;
      const ends = { localAddress, localPort, remoteAddress, remotePort };
      const { closed, error } = this;
      return {
        transport,
        ...ends,
        heldFragments: this.#stream.held,
        closed,
        error: error?.message,
      };
    });
  }

  /** @internal Whether an error that its user throws comes of how the connection ended. */
  explains(error: unknown): boolean {
    return this.#closing.explains(error);
  }

  // Leaving a loop does not wait for a peer that may never read what was written.
  #leave(): Promise<void> {
    this.destroy();
    return this.#closing.gone;
  }

  #checkUnlocked(): void {
    const refusal = this.#refusal();
    if (refusal !== undefined) throw refusal;
  }

  // Of iterators that were there before the reader, too.
  readonly #refusal = (): Error | undefined => {
    if (this.#reader === undefined) return undefined;
    return new DevmemError(
      'ERR_DEVMEM_READER',
      'The stream has a reader: read through that, or call its releaseLock() first',
    );
  };

  #prepend(...pieces: (Uint8Array | undefined)[]): void {
    const bytes = Buffer.concat(pieces.filter((piece) => piece !== undefined));
    if (bytes.length > 0) this.#stream.prepend(bytes);
  }
}

/** @internal The open sockets of this thread. */
export const socketsOfThread = new OpenSockets<DevmemSocket>();

/** @internal A stream of what comes on a socket, which counts in the bindings' memory from now. */
export function streamFor(socket: net.Socket, bindings: CheckedBindings): FragmentStream {
  return new FragmentStream(bindings, () => {
    const { localAddress, localPort, remoteAddress, remotePort } = socket;
    return `${localAddress}:${localPort} (from ${remoteAddress}:${remotePort})`;
  });
}
