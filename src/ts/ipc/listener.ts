/**
 * A Unix-domain socket that listens, to which strangers connect. net.Server closes
 * connections on the event loop's thread, with the descriptors that wait in them unread,
 * and it cannot wait with accepting.
 */
import net from 'node:net';

import { systemError } from '../errors.js';
import { type FdWatcher, native, type OwnedFd, WATCH_READABLE } from '../native.js';
import { closeStrangers } from './strangers.js';
import { UnixSocket } from './unix-socket.js';

// Accepted in one turn of the event loop.
const BATCH = 16;

// Out of descriptors, say: until then some may be closed.
const RETRY_MS = 100;

// linux/errno.h
const EAGAIN = -11;
const ECONNABORTED = -103;

/** A connection of a stranger's, of which Node has read nothing. */
export class StrangersConnection {
  readonly unix: UnixSocket;
  readonly #fd: OwnedFd;

  /**
   * @param fd - taken over
   * @throws SystemError EMFILE
   */
  constructor(fd: OwnedFd) {
    const own = native().duplicateNumber(fd.fd);
    if (own < 0) throw systemError(own, 'fcntl(F_DUPFD_CLOEXEC)');
    this.#fd = fd;
    const socket = new net.Socket({ fd: own, readable: true, writable: true, allowHalfOpen: true });
    // Reading and writing tell them too.
    socket.on('error', () => {});
    this.unix = UnixSocket.of(socket);
    this.unix.takeOver();
  }

  /**
   * Closes what `unix` leaves open, once that was closed: the connection, and with it
   * descriptors that nobody read; then what it sent. As `closeStrangers()` does it.
   */
  close(sent: readonly OwnedFd[]): Promise<void> {
    return closeStrangers([this.#fd, ...sent]);
  }
}

/** Accepts connections, except while it is paused. */
export class UnixListener {
  readonly #fd: OwnedFd;
  readonly #watcher: FdWatcher;
  readonly #onConnection: (fd: OwnedFd) => void;
  #paused: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #keepsAlive = true;

  /**
   * @param fd - of `takeListening()`; taken over
   * @param onConnection - called with what was accepted, to be closed by it
   */
  constructor(fd: OwnedFd, onConnection: (fd: OwnedFd) => void) {
    this.#fd = fd;
    this.#onConnection = onConnection;
    this.#watcher = new (native().FdWatcher)(() => {
      this.#accept();
    });
    const opened = this.#watcher.open(fd.fd);
    const status = opened < 0 ? opened : this.#watcher.start(WATCH_READABLE);
    if (status < 0) throw systemError(status, 'uv_poll_start');
  }

  /** Lets the process end although it listens. */
  unref(): void {
    this.#keepsAlive = false;
    this.#watcher.unref();
  }

  /** Whoever connects from here on waits until resume(). */
  pause(): void {
    // Keeps the process alive, as listening does.
    this.#paused ??= setInterval(() => {}, 2 ** 31 - 1);
    if (!this.#keepsAlive) this.#paused.unref();
    this.#update();
  }

  resume(): void {
    clearInterval(this.#paused);
    this.#paused = undefined;
    this.#update();
  }

  /** Listens no more, unless another process has the socket too. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#paused);
    clearTimeout(this.#retry);
    this.#watcher.close();
    void closeStrangers([this.#fd]);
  }

  get #accepting(): boolean {
    return !this.#closed && this.#paused === undefined && this.#retry === undefined;
  }

  #update(): void {
    if (this.#closed) return;
    if (this.#accepting) this.#watcher.start(WATCH_READABLE);
    else this.#watcher.stop();
  }

  #accept(): void {
    for (let i = 0; i < BATCH && this.#accepting; i++) {
      const fd = native().acceptUnix(this.#fd.fd);
      if (typeof fd !== 'number') this.#onConnection(fd);
      else if (fd === EAGAIN) return;
      else if (fd !== ECONNABORTED) this.#rest();
    }
  }

  #rest(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#update();
    }, RETRY_MS);
    if (!this.#keepsAlive) this.#retry.unref();
    this.#update();
  }
}
