/** The socket at which a process tells of itself: a snapshot for each that connects. */
import type net from 'node:net';
import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import { type Listening, listenAt } from '../ipc/listen.js';
import { StrangersConnection, UnixListener } from '../ipc/listener.js';
import { Seats } from '../ipc/seats.js';
import { closeStrangers } from '../ipc/strangers.js';
import type { OwnedFd } from '../native.js';
import { portrait } from '../portrait.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { checkDiagnosticsOptions, type DiagnosticsOptions } from './options.js';
import { takeSnapshot } from './snapshot.js';

// Readers at a time; others wait to be accepted.
const MAX_READERS = 16;
// Of one user, so that no user keeps all others from reading.
const MAX_READERS_PER_USER = 8;
// How long a reader may take to fetch what it is told.
const PATIENCE_MS = 2000;
// However many read, and however fast: what it takes to put a snapshot into words.
const FRESH_MS = 100;

/** Made by `serveDiagnostics()`. */
export class DiagnosticsServer implements AsyncDisposable {
  /** @internal */
  readonly uncloneable = CONNECTION_STAYS;
  /** Where it listens. */
  readonly path: string;
  readonly #listening: Listening;
  readonly #listener: UnixListener;
  readonly #uids: readonly number[] | undefined;
  readonly #seats = new Seats(MAX_READERS, MAX_READERS_PER_USER, (what) => new Error(what));
  readonly #readers = new Set<net.Socket>();
  readonly #onExit: () => void;
  #snapshot: { text: string; until: number } | undefined;
  #closing: Promise<void> | undefined;

  private constructor(maker: symbol, listening: Listening, uids: readonly number[] | undefined) {
    checkMaker(maker, 'DiagnosticsServer', 'serveDiagnostics()');
    this.path = listening.path;
    this.#listening = listening;
    this.#uids = uids;
    this.#listener = new UnixListener(listening.fd, MAX_READERS, (fd) => this.#attend(fd));
    this.#listener.unref();
    this.#onExit = () => {
      listening.removeNow();
    };
    process.once('exit', this.#onExit);
  }

  /** @internal */
  static make(listening: Listening, uids: readonly number[] | undefined): DiagnosticsServer {
    return new DiagnosticsServer(MAKER, listening, uids);
  }

  /** Takes the socket away. A second call waits with the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('DiagnosticsServer', () => ({
      path: this.path,
      closed: this.#closing !== undefined,
    }));
  }

  async #close(): Promise<void> {
    process.removeListener('exit', this.#onExit);
    await this.#listening.remove();
    this.#listener.close();
    for (const reader of this.#readers) reader.destroy();
  }

  /** Sees a connection to its end, until all that came of it is closed. Never rejects. */
  async #attend(fd: OwnedFd): Promise<void> {
    let connection: StrangersConnection;
    try {
      connection = new StrangersConnection(fd);
    } catch {
      // Descriptors ran out; whoever asked will ask again.
      return closeStrangers([fd]);
    }
    const { socket } = connection.unix;
    let leave: (() => void) | undefined;
    try {
      const { uid } = connection.unix.peer;
      leave = this.#seats.take(uid);
      if (this.#uids?.includes(uid) === false) throw new Error(`does not serve user ${uid}`);
      await this.#tell(socket, this.#text());
    } catch (error) {
      await this.#tell(socket, JSON.stringify({ error: (error as Error).message }));
    }
    await connection.close([]);
    leave?.();
  }

  #text(): string {
    const now = performance.now();
    if (this.#snapshot === undefined || now >= this.#snapshot.until) {
      this.#snapshot = { text: JSON.stringify(takeSnapshot()), until: now + FRESH_MS };
    }
    return this.#snapshot.text;
  }

  /** Resolves once it was told and the connection closed, or the reader took too long. */
  async #tell(socket: net.Socket, text: string): Promise<void> {
    if (socket.closed) return;
    const closed = new Promise((resolve) => socket.once('close', resolve));
    this.#readers.add(socket);
    const impatience = setTimeout(() => socket.destroy(), PATIENCE_MS).unref();
    socket.unref();
    socket.end(`${text}\n`, () => socket.destroy());
    await closed;
    clearTimeout(impatience);
    this.#readers.delete(socket);
  }
}

/**
 * Has this thread tell of its bindings and connections, at a Unix-domain socket: each that
 * connects gets a DiagnosticsSnapshot as one line of JSON, and the end of the stream. That is
 * what `devmem-tcp top --process PATH` shows; `nc -U PATH` reads it too.
 *
 * It does not keep the process alive, and is taken away at the process's end. What it costs is
 * bounded: a snapshot is made ten times a second at most, has 500 connections at most, and is
 * made when somebody asks. Nobody who connects can change anything.
 *
 * ```ts
 * await using diagnostics = await serveDiagnostics({ path: '/run/my-service.diagnostics' });
 * ```
 *
 * @throws TypeError, RangeError for unusable options
 * @throws DevmemError ERR_DEVMEM_UNSUPPORTED where the addon cannot work
 * @throws SystemError EADDRINUSE where a process has a socket there already, as another thread
 *   of this one; EEXIST where something else is there; ENOENT where its folder
 *   does not exist; what making the socket fails with
 */
export async function serveDiagnostics(options: DiagnosticsOptions): Promise<DiagnosticsServer> {
  const { file, uids } = checkDiagnosticsOptions(options);
  return DiagnosticsServer.make(await listenAt(file, 'options.path'), uids);
}
