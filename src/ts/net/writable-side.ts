import type net from 'node:net';
import { Writable } from 'node:stream';

import { cutOff, destroyedBelow } from './closing-errors.js';

// What is written goes to the kernel in pieces of so many bytes, so that a peer that takes
// a large write slowly can be told from one that takes nothing.
const PIECE = 64 * 1024;

/** Who has to know what becomes of the writing side. */
export interface WritingListener {
  /** The kernel took some of what was written. */
  onProgress(): void;
  /** Writing failed: the connection did. */
  onFailure(error: Error): void;
  /** The stream was destroyed before it finished: what the peer has is not the whole. */
  onCut(error: Error | null): void;
}

/**
 * A connection's other direction, as a stream of its own: it ends by itself, while reading
 * goes on, and takes the connection with it where it is destroyed early.
 */
export class WritableSide extends Writable {
  readonly #connection: net.Socket;
  readonly #listener: WritingListener;
  #endedForWriter = false;

  constructor(connection: net.Socket, listener: WritingListener) {
    super();
    this.#connection = connection;
    this.#listener = listener;
    // As with a failed connection's other end: callbacks and `socket.error` tell, and
    // unheard it must not end the process.
    this.on('error', () => {});
    // An adopted one may have sent its FIN.
    if (connection.writableEnded) this.end();
  }

  /** Whether finish() ended it, and not who writes. */
  get endedForWriter(): boolean {
    return this.#endedForWriter;
  }

  /** Ends it in place of who writes; does nothing where that was done. */
  finish(): void {
    if (this.writableEnded || this.destroyed) return;
    this.#endedForWriter = true;
    this.end();
  }

  override _write(
    chunk: Buffer,
    encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    const rest = chunk.length > PIECE ? chunk.subarray(PIECE) : undefined;
    const piece = rest === undefined ? chunk : chunk.subarray(0, PIECE);
    this.#connection.write(piece, (failure) => {
      const error = this.#outcome(failure);
      if (error === undefined) this.#listener.onProgress();
      if (error === undefined && rest !== undefined) this._write(rest, encoding, callback);
      else callback(error);
    });
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#connection.writableFinished) {
      callback();
      return;
    }
    this.#connection.end((failure?: Error | null) => {
      callback(this.#outcome(failure));
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.writableFinished) this.#listener.onCut(error);
    callback(error);
  }

  // What destroy() cuts off is a success to Node 20, and ECANCELED to later ones.
  #outcome(failure: Error | null | undefined): Error | undefined {
    if (this.destroyed) return this.errored ?? cutOff();
    const error = this.#connection.destroyed ? destroyedBelow() : (failure ?? undefined);
    if (error !== undefined) this.#listener.onFailure(error);
    return error;
  }
}
