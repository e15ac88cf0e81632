/** A connected Unix-domain socket that carries descriptors beside bytes. */
import net from 'node:net';

import { unlessAborted } from '../abort.js';
import { DevmemError, invalidArgType, systemError } from '../errors.js';
import { type Credentials, native, type ReceivedFds } from '../native.js';
import { descriptorOf, readOn, stopReading } from './handle.js';
import { ready, type ReadyOptions } from './ready.js';

// linux/errno.h
const EAGAIN = -11;

/**
 * Reads and writes a net.Socket's connection with descriptors. Writing goes past
 * Node's own, once that has sent what was written before. Reading needs
 * `takeOver()` first.
 */
export class UnixSocket {
  // Each listens to its socket's end.
  static readonly #known = new WeakMap<net.Socket, UnixSocket>();

  readonly socket: net.Socket;
  readonly #closed = new AbortController();

  /**
   * The one of this socket.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE for anything but a net.Socket
   * @throws DevmemError ERR_DEVMEM_SOCKET_STATE for one that is connecting, destroyed
   *   or no Unix-domain socket
   */
  static of(socket: net.Socket): UnixSocket {
    if (!(socket instanceof net.Socket)) throw invalidArgType('socket', 'a net.Socket', socket);
    if (socket.destroyed) throw wrongState('is destroyed');
    if (socket.connecting) throw wrongState("has not connected yet: wait for 'connect'");
    if (descriptorOf(socket, 'Pipe') === undefined) {
      throw wrongState('is not a Unix-domain socket: only those carry descriptors');
    }
    let unix = UnixSocket.#known.get(socket);
    if (unix === undefined) {
      unix = new UnixSocket(socket);
      UnixSocket.#known.set(socket, unix);
    }
    return unix;
  }

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.once('close', () => {
      this.#closed.abort(wrongState('was closed'));
    });
  }

  /** Who connected, as of then. */
  get peer(): Credentials {
    const credentials = native().peerCredentials(this.#fd());
    if (typeof credentials === 'number') throw systemError(credentials, 'getsockopt(SO_PEERCRED)');
    return credentials;
  }

  /**
   * Keeps Node from reading until giveBack(): it would drop descriptors.
   *
   * @throws DevmemError ERR_DEVMEM_SOCKET_STATE where Node has read something already; the
   *   socket is left as it was
   */
  takeOver(): void {
    const { readableLength } = this.socket;
    if (readableLength === 0) {
      stopReading(this.socket, 'Pipe');
      return;
    }
    throw wrongState(
      `was read by Node already (${readableLength} bytes), and a descriptor that came with them is lost. Create it with { pauseOnConnect: true }, or pause() it before it connects`,
    );
  }

  /** Node may read what follows. */
  giveBack(): void {
    readOn(this.socket, 'Pipe');
  }

  /**
   * Reads what is there, once something is. `bytes` is 0 at the end of the stream. The
   * descriptors are the caller's to close, by `closeStrangers()`.
   *
   * @throws the signal's reason; DevmemError ERR_DEVMEM_SOCKET_STATE once the socket is closed
   */
  async read(target: Uint8Array, options: ReadyOptions = {}): Promise<ReceivedFds> {
    for (;;) {
      const received = native().receiveFds(this.#fd(), target);
      if (typeof received !== 'number') return received;
      if (received !== EAGAIN) throw systemError(received, 'recvmsg');
      await this.#ready('readable', options);
    }
  }

  /** Writes all of it; `fds` go with the first byte. */
  async write(
    bytes: Uint8Array,
    fds: readonly number[],
    options: ReadyOptions = {},
  ): Promise<void> {
    if (this.socket.writableLength > 0) {
      const sent = new Promise((resolve) => this.socket.write('', resolve));
      await unlessAborted(options.signal, sent);
    }
    let rest = bytes;
    let passing = fds;
    while (rest.length > 0) {
      const sent = native().sendFds(this.#fd(), rest, passing);
      if (sent === EAGAIN) {
        await this.#ready('writable', options);
      } else if (sent < 0) {
        throw systemError(sent, 'sendmsg');
      } else {
        rest = rest.subarray(sent);
        passing = [];
      }
    }
  }

  #fd(): number {
    this.#closed.signal.throwIfAborted();
    const fd = descriptorOf(this.socket, 'Pipe');
    // Destroyed, and 'close' is still to come.
    if (fd === undefined || fd < 0) throw wrongState('was closed');
    return fd;
  }

  #ready(direction: 'readable' | 'writable', options: ReadyOptions): Promise<void> {
    return ready(this.#fd(), direction, options, this.#closed.signal);
  }
}

function wrongState(what: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_SOCKET_STATE', `The socket ${what}`);
}
