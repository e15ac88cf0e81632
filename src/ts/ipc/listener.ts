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

/** Accepts connections, so many at a time: whoever connects beyond that waits. */
export class UnixListener {
  readonly #fd: OwnedFd;
  readonly #watcher: FdWatcher;
  readonly #most: number;
  readonly #attend: (fd: OwnedFd) => Promise<void>;
  #attended = 0;
  #paused: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #keepsAlive = true;

  /**
   * @param fd - of `takeListening()`; taken over
   * @param most - how many are attended at a time
   * @param attend - sees what was accepted to its end, until all that came of it is closed;
   *   never rejects
   */
  constructor(fd: OwnedFd, most: number, attend: (fd: OwnedFd) => Promise<void>) {
    this.#fd = fd;
    this.#most = most;
    this.#attend = attend;
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
      if (typeof fd !== 'number') this.#begin(fd);
      else if (fd === EAGAIN) return;
      else if (fd !== ECONNABORTED) this.#rest();
    }
  }

  #begin(fd: OwnedFd): void {
    this.#attended++;
    if (this.#attended >= this.#most) this.#pause();
    void this.#attend(fd).then(() => {
      this.#attended--;
      this.#resume();
    });
  }

  #pause(): void {
    // Keeps the process alive, as listening does.
    this.#paused ??= setInterval(() => {}, 2 ** 31 - 1);
    if (!this.#keepsAlive) this.#paused.unref();
    this.#update();
  }

  #resume(): void {
    clearInterval(this.#paused);
    this.#paused = undefined;
    this.#update();
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
