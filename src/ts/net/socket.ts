import { EventEmitter, once } from 'node:events';
import type net from 'node:net';
import { Writable } from 'node:stream';
import { ReadableStream } from 'node:stream/web';

import { checkInteger, DevmemError } from '../errors.js';
import type { Batch } from '../receive/batch.js';
import type { Binding, Bindings } from '../receive/binding.js';
import type { Fragment } from '../receive/fragment.js';
import type { ReceiveStats } from '../receive/stats.js';
import { FragmentStream } from '../receive/stream.js';
import type { TransportName } from '../receive/transports/transport.js';
import { takeOver } from './adopt.js';
import { checkAddition, checkBindings, type CheckedBindings } from './bindings.js';
import { BatchIterator, FragmentIterator } from './iterators.js';
import { ReceiveShares, receiveWindow } from './receive-window.js';

export interface AdoptOptions {
  /**
   * What the socket receives into: one binding, or several of the devmem path where the
   * connection's packets may reach queues of each. Every fragment's `memory` tells which.
   */
  binding: Bindings;
  /** Closes the socket when aborted; pending reads reject with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Bytes that came before and are in nobody's buffer any more, such as the `head` of
   * http's 'upgrade' and 'connect' events: the stream begins with them.
   */
  head?: Uint8Array;
  /** As `setLowWaterMark()`, from the stream's start: reads at every so many bytes. Default 1. */
  lowWaterMark?: number;
}

// What SO_RCVLOWAT holds.
const MAX_LOW_WATER_MARK = 2 ** 31 - 1;

/** @internal Checks `options.lowWaterMark`, where it is given. */
export function checkLowWaterMark(bytes: number | undefined): void {
  if (bytes !== undefined) checkInteger('options.lowWaterMark', bytes, 1, MAX_LOW_WATER_MARK);
}

/** @internal Options that were checked. */
export interface InternalOptions extends Omit<AdoptOptions, 'binding'> {
  bindings: CheckedBindings;
}

/** What a socket counted, and what it holds now. */
export interface SocketStats extends ReceiveStats {
  /** Fragments handed out and not released. */
  heldFragments: number;
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
  readonly #socket: net.Socket;
  readonly #name: string;
  readonly #stream: FragmentStream;
  readonly #shares: ReceiveShares;
  readonly #closed: Promise<void>;
  #closing = false;
  // Nothing more comes from the kernel.
  #gone = false;
  #error: Error | undefined;
  #writable: Writable | undefined;

  /**
   * @internal
   * @param socket - connected, read by nobody else from here on
   */
  constructor(socket: net.Socket, options: InternalOptions) {
    super();
    this.#socket = socket;
    this.#name = nameOf(socket);
    const { fd, head } = takeOver(socket);
    this.#stream = new FragmentStream(options.bindings, () => this.#name);
    this.#stream.open(fd);
    const before = [options.head, head].filter((bytes) => bytes !== undefined && bytes.length > 0);
    if (before.length > 0) this.#stream.prepend(Buffer.concat(before as Uint8Array[]));
    if (options.lowWaterMark !== undefined) this.#stream.setLowWaterMark(options.lowWaterMark);
    this.#shares = new ReceiveShares(this.#stream);
    for (const binding of options.bindings) this.#shares.join(receiveWindow(binding));
    this.#stream.onEnd((error) => {
      this.#ended(error);
    });
    socket.on('error', (error) => {
      this.#stream.fail(error);
    });
    this.#closed = this.#watchClose();
    if (options.signal !== undefined) this.#obey(options.signal);
  }

  /** How fragments arrive: `'cmsg'` (devmem) or `'copy'`. */
  get transport(): TransportName {
    return this.binding.transport;
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
    checkInteger('bytes', bytes, 1, MAX_LOW_WATER_MARK);
    if (!this.#gone) this.#stream.setLowWaterMark(bytes);
    return this;
  }

  get localAddress(): string | undefined {
    return this.#socket.localAddress;
  }

  get localPort(): number | undefined {
    return this.#socket.localPort;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get closed(): boolean {
    return this.#closing;
  }

  /** What ended the connection, if it failed. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** The connection's other direction, an ordinary stream with back-pressure. */
  get writable(): Writable {
    this.#writable ??= writableSide(this.#socket);
    return this.#writable;
  }

  /** Fragments one by one, in stream order. Each is a lease: release it, or declare it with `using`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Fragment, undefined> {
    return new FragmentIterator(this.#stream.cursor, () => this.#leave());
  }

  /** Fragments as they arrive, many at a time: the fast way. Each batch is a lease. */
  batches(): AsyncIterableIterator<Batch, undefined> {
    return new BatchIterator(this.#stream.cursor, () => this.#leave());
  }

  /** `batches()` as a web stream. Cancelling it closes the connection. */
  toReadableStream(): ReadableStream<Batch> {
    return ReadableStream.from(this.batches());
  }

  /**
   * Ends the connection: what was written is sent, what was not read is dropped.
   * Fragments held stay valid until released. A second call waits with the first.
   */
  close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#stream.stop();
      this.#endWriting();
      this.#destroyOnceWritten();
    }
    return this.#closed;
  }

  /**
   * Ends the connection at once, dropping what was not yet sent. Pending reads
   * reject with the error, if one is given.
   */
  destroy(error?: Error): void {
    this.#closing = true;
    if (error !== undefined) this.#stream.fail(error);
    this.#stream.stop();
    this.#socket.destroy();
  }

  /** Keeps the process running while the socket reads or writes (the default). */
  ref(): this {
    this.#stream.ref();
    this.#socket.ref();
    return this;
  }

  /** Lets the process end although the socket is open. */
  unref(): this {
    this.#stream.unref();
    this.#socket.unref();
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // Leaving a loop does not wait for a peer that may never read what was written.
  #leave(): Promise<void> {
    this.destroy();
    return this.#closed;
  }

  // The peer is done sending, or the connection failed.
  #ended(error: Error | undefined): void {
    this.#error = error;
    if (error !== undefined) {
      this.#socket.destroy();
      return;
    }
    if (!this.#socket.allowHalfOpen) this.#endWriting();
    this.#destroyOnceWritten();
  }

  // What `writable` still buffers goes out first.
  #endWriting(): void {
    if (this.#writable === undefined) this.#socket.end();
    else this.#writable.end();
  }

  #destroyOnceWritten(): void {
    const socket = this.#socket;
    if (socket.writableFinished) socket.destroy();
    else socket.once('finish', () => socket.destroy());
  }

  async #watchClose(): Promise<void> {
    await once(this.#socket, 'close').catch(() => {});
    this.#closing = true;
    this.#gone = true;
    this.#shares.leave();
    this.#stream.detach();
    this.emit('close');
  }

  #obey(signal: AbortSignal): void {
    const abort = (): void => {
      this.destroy(signal.reason as Error);
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    void this.#closed.then(() => {
      signal.removeEventListener('abort', abort);
    });
  }
}

// For warnings, which may come when the connection, and what Node knows of it, is gone.
function nameOf({ localAddress, localPort, remoteAddress, remotePort }: net.Socket): string {
  return `${localAddress}:${localPort} (from ${remoteAddress}:${remotePort})`;
}

function writableSide(socket: net.Socket): Writable {
  const writable = new Writable({
    decodeStrings: true,
    write(chunk: Buffer, _encoding, callback) {
      socket.write(chunk, callback);
    },
    final(callback) {
      socket.end(() => {
        callback();
      });
    },
    destroy(error, callback) {
      if (error !== null) socket.destroy(error);
      callback(error);
    },
  });
  // As with a failed connection's other end: callbacks and `socket.error` tell, and
  // unheard it must not end the process.
  writable.on('error', () => {});
  socket.once('close', () => {
    if (!writable.writableFinished) writable.destroy();
  });
  return writable;
}

/**
 * Takes over the receiving side of a connected `net.Socket`, which nobody has
 * read from yet: paused before it connected, or from a server with
 * `pauseOnConnect`. Bytes that Node had read come first, as a linear fragment.
 *
 * The connection then belongs to the returned socket; close that one.
 *
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE for TLS, connecting or destroyed sockets
 */
export function adopt(socket: net.Socket, options: AdoptOptions): DevmemSocket {
  const bindings = checkBindings(options?.binding);
  checkLowWaterMark(options.lowWaterMark);
  return new DevmemSocket(socket, { ...options, bindings });
}
