import type net from 'node:net';

import type { FragmentStream } from '../receive/stream.js';
import { closeTimedOut, destroyedBelow, tellsOfClosing } from './closing-errors.js';
import { WritableSide } from './writable-side.js';

const DEFAULT_CLOSE_TIMEOUT_MS = 2000;

/**
 * Why a connection ends:
 *
 * - `failed`: it was reset, timed out, aborted, or destroyed with an error
 * - `closed`: by close() or destroy(), by who left its loop, or as the peer ended it
 */
type Ending = 'failed' | 'closed';

/**
 * How a connection ends. Its directions end apart, and it is destroyed once both are over:
 *
 * - reading: the peer's FIN has come, and the reader has taken all before it, or wants
 *   nothing more (after close())
 * - writing: the kernel has taken all that was written, and our FIN behind it
 *
 * A failure and destroy() do not wait for that, and close() not for ever. Destroyed before
 * the peer's FIN was read, the kernel would answer what is unread, or comes later, with a
 * reset, which takes from the peer what it has not yet read.
 */
export class Closing {
  readonly writable: WritableSide;
  /** Resolves once the connection is gone. */
  readonly gone: Promise<void>;
  readonly #connection: net.Socket;
  readonly #stream: FragmentStream;
  readonly #timeoutMs: number;
  readonly #allowHalfOpen: boolean;
  #ending: Ending | undefined;
  #error: Error | undefined;
  // close() was called.
  #draining = false;
  #destroyed = false;
  #finReceived = false;
  #readToEnd = false;
  #deadline: NodeJS.Timeout | undefined;
  #referenced = true;

  /**
   * @param allowHalfOpen - whether writing goes on after the peer's end
   * @param timeoutMs - how long close() waits for the peer in vain
   * @param onGone - called when nothing more comes from the kernel; may throw
   */
  constructor(
    connection: net.Socket,
    stream: FragmentStream,
    allowHalfOpen: boolean,
    timeoutMs: number = DEFAULT_CLOSE_TIMEOUT_MS,
    onGone: () => void,
  ) {
    this.#connection = connection;
    this.#stream = stream;
    this.#allowHalfOpen = allowHalfOpen;
    this.#timeoutMs = timeoutMs;
    this.writable = new WritableSide(connection, {
      onProgress: () => this.#deadline?.refresh(),
      onFailure: (error) => this.fail(error),
      onCut: (error) => this.#cut(error),
    });
    this.writable.once('finish', () => this.#writingFinished());
    stream.onEnd((error) => this.#readingEnded(error));
    stream.onFinished(() => this.#readerFinished());
    connection.on('error', (error) => this.fail(error));
    this.gone = new Promise((resolve) => {
      connection.once('close', () => {
        this.#gone();
        resolve();
        onGone();
      });
    });
  }

  /** Whether close() or destroy() was called, or the connection is gone. */
  get begun(): boolean {
    return this.#draining || this.#destroyed;
  }

  /** What the connection failed with. */
  get error(): Error | undefined {
    return this.#error;
  }

  /**
   * Whether an error thrown by who uses the connection comes of its end. After a failure
   * anything may: what was read is not whole, and an error of a write or a read can be
   * wrapped or put in other words. After closing, only what streams say then.
   */
  explains(error: unknown): boolean {
    return this.#ending === 'failed' || (this.#ending === 'closed' && tellsOfClosing(error));
  }

  /** Sends what was written, drops what comes, and waits for the peer to end, for a while. */
  close(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#ending ??= 'closed';
    this.#stream.discard();
    if (this.#destroyed) return;
    this.writable.finish();
    this.#destroyIfOver();
    if (!this.#destroyed && this.#timeoutMs !== Infinity) this.#setDeadline();
  }

  /** Ends it at once; what is ready to be read is dropped. */
  destroy(error?: Error): void {
    if (error !== undefined) this.fail(error);
    this.#ending ??= 'closed';
    this.#stream.stop(error);
    this.#destroy();
  }

  /** Ends it at once; what came before can still be read, and then rejects with the error. */
  fail(error: Error): void {
    if (this.#destroyed) return;
    this.#ending = 'failed';
    this.#error = error;
    this.#destroy(error);
    this.#stream.fail(error);
  }

  ref(): void {
    this.#referenced = true;
    this.#deadline?.ref();
  }

  unref(): void {
    this.#referenced = false;
    this.#deadline?.unref();
  }

  // The peer's FIN, or an error of the receiving side.
  #readingEnded(error: Error | undefined): void {
    if (error !== undefined) {
      this.#receivingFailed(error);
      return;
    }
    this.#finReceived = true;
    this.#destroyIfOver();
  }

  #receivingFailed(error: Error): void {
    // A peer may leave as it likes once it was sent all: some do by a reset.
    if (this.#draining && this.writable.writableFinished) this.#destroy();
    else this.fail(error);
  }

  #readerFinished(): void {
    this.#readToEnd = true;
    // Whoever answers as soon as the end came does so before.
    if (!this.#allowHalfOpen && !this.begun) setImmediate(() => this.#endWriting());
    this.#destroyIfOver();
  }

  #endWriting(): void {
    if (!this.writable.writableEnded) this.#ending ??= 'closed';
    this.writable.finish();
  }

  #writingFinished(): void {
    // The peer has as long for its own end.
    this.#deadline?.refresh();
    this.#destroyIfOver();
  }

  // Writing was destroyed, as pipeline() does where its source fails.
  #cut(error: Error | null): void {
    if (this.#destroyed) return;
    const misused = isWriteAfterEnd(error) && !this.writable.endedForWriter;
    if (!misused) this.#ending ??= 'closed';
    this.#error = error ?? undefined;
    this.#destroy();
    if (error === null) this.#stream.stop();
    else this.#stream.fail(error);
  }

  #destroyIfOver(): void {
    const readingOver = this.#finReceived && (this.#readToEnd || this.#draining);
    if (readingOver && this.writable.writableFinished) this.#destroy();
  }

  #destroy(error?: Error): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
    this.writable.destroy(error);
    this.#connection.destroy();
  }

  #setDeadline(): void {
    this.#deadline = setTimeout(() => this.#expire(), this.#timeoutMs);
    if (!this.#referenced) this.#deadline.unref();
  }

  #expire(): void {
    if (this.writable.writableLength + this.#connection.writableLength === 0) {
      this.#destroy();
      return;
    }
    // By a reset: a FIN would call what the peer has the whole.
    this.#connection.resetAndDestroy();
    this.fail(closeTimedOut(this.#timeoutMs));
  }

  #gone(): void {
    // Unless Node itself saw both directions end.
    const bothEnded = this.#connection.readableEnded && this.writable.writableFinished;
    if (!bothEnded) this.fail(destroyedBelow());
    this.#destroy();
    this.#stream.detach();
  }
}

function isWriteAfterEnd(error: NodeJS.ErrnoException | null): boolean {
  return error?.code === 'ERR_STREAM_WRITE_AFTER_END';
}
