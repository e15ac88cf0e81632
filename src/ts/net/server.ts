import { EventEmitter, once } from 'node:events';
import net from 'node:net';

import { DevmemError, invalidArgType } from '../errors.js';
import type { Binding, Bindings } from '../receive/binding.js';
import { checkAddition, checkBindings, type CheckedBindings } from './bindings.js';
import { checkLowWaterMark, DevmemSocket } from './socket.js';

export interface ServerOptions extends Omit<net.ServerOpts, 'pauseOnConnect'> {
  /** What the server's sockets receive into: one binding, or several of the devmem path. */
  binding: Bindings;
  /** Each socket's `setLowWaterMark()`: reads at every so many bytes. Default 1. */
  lowWaterMark?: number;
  /** Closes the server, and all its sockets, when aborted. */
  signal?: AbortSignal;
}

/**
 * Called for each connection. The socket is closed when the handler returns (or
 * its promise settles). An exception destroys it and is emitted: as
 * `'socketError'` where the connection itself failed, else as `'error'`.
 */
export type ConnectionHandler = (socket: DevmemSocket) => void | Promise<void>;

/**
 * A TCP server whose connections yield fragments.
 *
 * Events: `'connection'` with each DevmemSocket, `'error'` from listening or thrown
 * by the handler, `'socketError'` with the error and the socket where a connection
 * failed (unlike `'error'`, it may go unheard: a peer must not be able to end the
 * process), `'close'`.
 */
export class DevmemServer extends EventEmitter implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets = new Set<DevmemSocket>();
  #bindings: CheckedBindings;
  readonly #handler: ConnectionHandler | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #socketOptions: { lowWaterMark?: number };
  // Settles once the last listen() has worked or failed.
  #starting: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(options: ServerOptions, handler: ConnectionHandler | undefined) {
    super();
    const { binding, signal, lowWaterMark, ...netOptions } = options;
    this.#bindings = checkBindings(binding);
    checkLowWaterMark(lowWaterMark);
    this.#socketOptions = lowWaterMark === undefined ? {} : { lowWaterMark };
    this.#handler = handler;
    this.#signal = signal;
    this.#server = net.createServer({ ...netOptions, pauseOnConnect: true });
    this.#server.on('connection', (socket) => {
      this.#accept(socket);
    });
    this.#server.on('close', () => this.emit('close'));
    if (signal !== undefined) this.#obey(signal);
  }

  /** The connections open now. */
  get connections(): ReadonlySet<DevmemSocket> {
    return this.#sockets;
  }

  get listening(): boolean {
    return this.#server.listening;
  }

  /** What new connections receive into, the newest binding first. */
  get bindings(): readonly Binding[] {
    return this.#bindings;
  }

  /**
   * Has connections, those open now and those to come, receive into another binding's
   * memory too, as after binding queues again in mid-stream: to be called before packets
   * reach them. New connections have it as their `binding`.
   *
   * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for anything but a
   *   binding of the devmem path, of a server that uses it itself
   * @throws DevmemError ERR_DEVMEM_CLOSED where the binding was closed
   */
  addBinding(binding: Binding): void {
    checkAddition(binding, this.#bindings);
    for (const socket of this.#sockets) if (!socket.closed) socket.addBinding(binding);
    const others = this.#bindings.filter((each) => each !== binding && mayHaveData(each));
    this.#bindings = [binding, ...others];
  }

  /** Where the server listens; null before listen(). */
  address(): net.AddressInfo | null {
    return this.#server.address() as net.AddressInfo | null;
  }

  /**
   * Listens, with `net.Server`'s options (`port`, `host`, `backlog`, …).
   *
   * @returns where it listens
   * @throws SystemError as net.Server does: EADDRINUSE, EACCES, EADDRNOTAVAIL, …
   * @throws DevmemError ERR_DEVMEM_CLOSED after close()
   * @throws the signal's reason where it was aborted before
   */
  listen(options: net.ListenOptions = {}): Promise<net.AddressInfo> {
    const starting = this.#listen(options);
    this.#starting = starting.catch(() => {});
    return starting;
  }

  /** Stops listening and closes all connections. A second call waits with the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  ref(): this {
    this.#server.ref();
    return this;
  }

  unref(): this {
    this.#server.unref();
    return this;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #listen(options: net.ListenOptions): Promise<net.AddressInfo> {
    this.#signal?.throwIfAborted();
    if (this.#closing !== undefined) {
      throw new DevmemError('ERR_DEVMEM_CLOSED', 'The server was closed: create another one');
    }
    const listening = once(this.#server, 'listening');
    this.#server.listen({ port: 0, ...options });
    await listening;
    this.#server.on('error', (error) => this.emit('error', error));
    return this.#server.address() as net.AddressInfo;
  }

  async #close(): Promise<void> {
    await this.#starting;
    const wasListening = this.#server.listening;
    const closed = wasListening ? once(this.#server, 'close') : undefined;
    if (wasListening) this.#server.close();
    await Promise.all([...this.#sockets].map((socket) => socket.close()));
    await closed;
  }

  #accept(connection: net.Socket): void {
    let socket: DevmemSocket;
    try {
      socket = new DevmemSocket(connection, { bindings: this.#usable(), ...this.#socketOptions });
    } catch (error) {
      // Such as descriptors running out.
      connection.destroy();
      this.emit('socketError', error, undefined);
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    this.emit('connection', socket);
    if (this.#handler !== undefined) void this.#handle(socket, this.#handler);
  }

  // Where a new connection's data may be. A closed binding has none to come, but what came
  // before the connection was accepted.
  #usable(): CheckedBindings {
    const open = this.#bindings.filter((each) => !each.closed);
    const [first, ...others] = open;
    if (first === undefined) {
      throw new DevmemError(
        'ERR_DEVMEM_CLOSED',
        "The server's binding was closed: bind again with bindRx(), and give the server the new one with addBinding()",
      );
    }
    return [first, ...others, ...this.#bindings.filter((each) => each.closed && mayHaveData(each))];
  }

  async #handle(socket: DevmemSocket, handler: ConnectionHandler): Promise<void> {
    try {
      await handler(socket);
      await socket.close();
    } catch (error) {
      socket.destroy();
      if (error === socket.error) this.emit('socketError', error, socket);
      else this.emit('error', error);
    }
  }

  #obey(signal: AbortSignal): void {
    const abort = (): void => {
      for (const socket of this.#sockets) socket.destroy(signal.reason as Error);
      void this.close();
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort, { once: true });
    this.once('close', () => {
      signal.removeEventListener('abort', abort);
    });
  }
}

// Not once its memory is somebody else's, or gone.
function mayHaveData(binding: Binding): boolean {
  return !binding.closed || (binding.pool.ownsMemory && !binding.memory.closed);
}

/**
 * Creates a server; `listen()` starts it.
 *
 * ```ts
 * const server = createServer({ binding }, async (socket) => {
 *   for await (using batch of socket.batches()) batch.forEach(consume);
 * });
 * await server.listen({ port: 5201 });
 * ```
 *
 * @param options - `net.createServer`'s, and the binding
 */
export function createServer(options: ServerOptions, handler?: ConnectionHandler): DevmemServer {
  checkBindings(options?.binding);
  if (handler !== undefined && typeof handler !== 'function') {
    throw invalidArgType('handler', 'a function', handler);
  }
  return new DevmemServer(options, handler);
}
