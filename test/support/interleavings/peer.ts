import { once } from 'node:events';
import type net from 'node:net';

import { closing } from '../peers.js';
import { pattern } from '../stream.js';
import type { Journal } from './journal.js';
import { type Pause, rest } from './pause.js';
import type { Write } from './scenario.js';
import type { Verdict } from './verdict.js';

/** Where in the pattern what the peer receives begins, far from what it sends. */
export const ANSWER = 2_000_003;

interface Options {
  /** Where in the pattern the stream that it sends begins. */
  origin?: number;
  /** Bytes of it that were sent before. */
  sent?: number;
  noDelay?: boolean;
  /** Before it reads. */
  peerPause?: Pause;
}

/** The other end: a plain socket that sends the pattern, and looks at what it receives. */
export class Peer {
  readonly #socket: net.Socket;
  readonly #journal: Journal;
  readonly #origin: number;
  readonly #closed: Promise<void>;
  /** Bytes that were written. */
  sent: number;
  /** Bytes that came, all of them right. */
  received = 0;
  /** Whether the other direction's end came. */
  ended = false;
  error: Error | undefined;
  #stopped = false;

  constructor(
    socket: net.Socket,
    verdict: Verdict,
    journal: Journal,
    { origin = 0, sent = 0, noDelay = false, peerPause = 'none' }: Options = {},
  ) {
    this.#socket = socket;
    this.#journal = journal;
    this.#origin = origin;
    this.sent = sent;
    socket.setNoDelay(noDelay);
    this.#closed = closing(socket);
    socket.on('error', (error) => {
      journal.note(`peer: ${String(error)}`);
      this.error = error;
    });
    socket.on('end', () => {
      journal.note(`peer: got the end, behind byte ${this.received}`);
      this.ended = true;
    });
    socket.on('data', (piece) => {
      const wrong = pattern.mismatch(ANSWER + this.received, piece);
      verdict.hold(wrong === -1, () => `the peer got a wrong byte ${this.received + wrong}`);
      this.received += piece.length;
    });
    if (peerPause !== 'none') void this.#readAfter(peerPause);
  }

  /** Sends as fast as the connection takes it, but for the pauses. */
  async send(writes: readonly Write[]): Promise<void> {
    for (const { bytes, pause } of writes) {
      await rest(pause);
      if (this.#stopped || this.#socket.destroyed) return;
      await this.#write(bytes);
    }
  }

  async #readAfter(pause: Pause): Promise<void> {
    this.#socket.pause();
    await rest(pause);
    this.#socket.resume();
  }

  async #write(bytes: number): Promise<void> {
    const piece = pattern.slice(this.#origin + this.sent, bytes);
    this.#journal.note(`peer: writes ${this.sent}..${this.sent + bytes}`);
    this.sent += bytes;
    if (this.#socket.write(piece)) return;
    await Promise.race([this.#drained(), this.#closed]);
  }

  async #drained(): Promise<void> {
    await once(this.#socket, 'drain').catch(() => {});
  }

  /** Ends its direction; what was written before goes out. */
  end(): void {
    if (this.#socket.writableEnded) return;
    this.#journal.note('peer: ends');
    this.#stopped = true;
    this.#socket.end();
  }

  reset(): void {
    this.#journal.note('peer: resets');
    this.#stopped = true;
    this.#socket.resetAndDestroy();
  }

  /** Waits until both directions are through. */
  closed(): Promise<void> {
    return this.#closed;
  }

  async destroy(): Promise<void> {
    this.#stopped = true;
    this.#socket.destroy();
    await this.#closed;
  }
}
