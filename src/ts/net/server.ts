import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import { inspect } from 'node:util';

import { onAbort, throwIfAborted } from '../abort.js';
import { checkMaker, MAKER } from '../construction.js';
import { checkInteger, DevmemError, invalidArgType, withCode } from '../errors.js';
import { portrait } from '../portrait.js';
import type { Binding, Bindings } from '../receive/binding.js';
import { CONNECTION_STAYS } from '../uncloneable.js';
import { receiveFrom } from './adopt.js';
import { checkAddition, checkBindings, type CheckedBindings } from './bindings.js';
import { checkListenOptions, type ListenOptions } from './listen-options.js';
import type { DevmemSocket } from './socket.js';
import { checkSocketOptions, type SocketOptions } from './socket-options.js';

/** Options of `createServer()`: those of `net.createServer()`, and these. */
export interface ServerOptions extends Omit<net.ServerOpts, 'pauseOnConnect'> {
  /** What the server's sockets receive into: one binding, or several of the devmem path. */
  binding: Bindings;
  /** Each socket's `setLowWaterMark()`: reads at every so many bytes. Default 1. */
  lowWaterMark?: number;
  /**
   * Each socket's `closeTimeout`, in milliseconds: how long its `close()`, and the server's,
   * wait for the peer in vain. 0: not at all; Infinity: without limit. Default: 2000.
   */
  closeTimeout?: number;
  /** Closes the server, and all its sockets, when aborted. */
  signal?: AbortSignal;
  /** Keep a connection's writing side open when its peer ends its stream. Default false. */
  allowHalfOpen?: boolean;
}

/**
 * Called for each connection. The socket is closed when the handler returns (or its promise
 * settles). An exception destroys it and is emitted: as `'socketError'` where the
 * connection had failed before, or it says no more than that the connection was closed,
 * else as `'error'`.
 */
export type ConnectionHandler = (socket: DevmemSocket) => void | Promise<void>;

/**
 * A TCP server whose connections yield fragments.
 *
 * Events: `'connection'` with each DevmemSocket, `'error'` from listening or thrown
 * by the handler, `'socketError'` with the error and the socket where a connection
 * failed under its handler, or afterwards before all was sent (unlike `'error'`, it may go
 * unheard: a peer must not be able to end the process), `'drop'` with the addresses
 * (net.DropArgument) of a connection that came while there were `maxConnections`, `'close'`
 * once it listens no more and the last of its connections is gone.
 */
export class DevmemServer extends EventEmitter implements AsyncDisposable {
  /** @internal */
  readonly uncloneable = CONNECTION_STAYS;
  readonly #server: net.Server;
  readonly #sockets = new Set<DevmemSocket>();
  #bindings: CheckedBindings;
  readonly #handler: ConnectionHandler | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #socketOptions: SocketOptions;
  // Each ends obeying a signal, which may outlive the server.
  readonly #ignoring: (() => void)[] = [];
  readonly #gone: Promise<void>;
  // Sockets that the server ended, whatever their handlers were at.
  readonly #dismissed = new WeakSet<DevmemSocket>();
  #warnedOfClosedBindings = false;
  // net.Server has told of its end.
  #stopped = false;
  // While listen() is under way; settles once it has worked or failed.
  #starting: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    maker: symbol,
    options: ServerOptions,
    handler: ConnectionHandler | undefined,
  ) {
    checkMaker(maker, 'DevmemServer', 'createServer()');
    super();
    const { binding, signal, lowWaterMark, closeTimeout, ...netOptions } = options;
    this.#bindings = checkBindings(binding);
    const checked = checkSocketOptions({
      ...(signal !== undefined && { signal }),
      ...(lowWaterMark !== undefined && { lowWaterMark }),
      ...(closeTimeout !== undefined && { closeTimeout }),
    });
    // The signal is the server's own: it ends its sockets.
    this.#signal = checked.signal;
    delete checked.signal;
    this.#socketOptions = checked;
    this.#handler = handler;
    this.#server = net.createServer({ ...netOptions, pauseOnConnect: true });
    this.#server.on('connection', (socket) => {
      this.#accept(socket);
    });
    // A listener that throws ends nobody's wait.
    this.#gone = new Promise((resolve) => this.#server.once('close', resolve));
    this.#server.on('close', () => {
      this.#stopped = true;
      if (this.#sockets.size === 0) this.emit('close');
    });
    this.#server.on('drop', (addresses) => this.emit('drop', addresses));
    this.#obey(this.#signal);
  }

  /** @internal */
  static make(options: ServerOptions, handler: ConnectionHandler | undefined): DevmemServer {
    return new DevmemServer(MAKER, options, handler);
  }

  /** The connections open now. */
  get connections(): ReadonlySet<DevmemSocket> {
    return this.#sockets;
  }

  /**
   * How many connections there may be at once: more are closed as they come, each with a
   * 'drop' event. As `net.Server`'s; undefined: without limit. How many there are is
   * `connections.size`.
   */
  get maxConnections(): number | undefined {
    return this.#server.maxConnections;
  }

  /** An integer from 1 on, or undefined. */
  set maxConnections(count: number | undefined) {
    if (count !== undefined) checkInteger('maxConnections', count, 1, MAX_CONNECTIONS);
    (this.#server as { maxConnections: number | undefined }).maxConnections = count;
  }

  /** Whether it listens. */
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
    this.#warnedOfClosedBindings = false;
  }

  /** Where the server listens; null before listen(). */
  address(): net.AddressInfo | null {
    return this.#server.address() as net.AddressInfo | null;
  }

  /**
   * Listens, with `net.Server`'s options (`port`, `host`, `backlog`, …) or as its
   * `listen(port, host, backlog)`, at TCP alone. Without a port the system chooses one.
   * After it failed, the server can listen elsewhere.
   *
   * @returns where it listens
   * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE for a path, a descriptor
   *   or a callback, RangeError ERR_SOCKET_BAD_PORT
   * @throws SystemError as net.Server does: EADDRINUSE, EACCES, EADDRNOTAVAIL, …
   * @throws Error ERR_SERVER_ALREADY_LISTEN where it listens, or is about to
   * @throws DevmemError ERR_DEVMEM_CLOSED after close()
   * @throws the signal's reason where it was aborted before it listened
   */
  listen(options?: ListenOptions): Promise<net.AddressInfo>;
  listen(port: number, host?: string, backlog?: number): Promise<net.AddressInfo>;
  listen(port: number, backlog?: number): Promise<net.AddressInfo>;
  async listen(
    first?: ListenOptions | number,
    second?: string | number,
    third?: number,
  ): Promise<net.AddressInfo> {
    const { netOptions, signal } = checkListenOptions(first, second, third);
    throwIfAborted(this.#signal);
    throwIfAborted(signal);
    this.#checkIdle();
    const ignore = this.#obey(signal);
    const starting = this.#start(netOptions);
    this.#starting = starting.catch(() => {});
    try {
      const address = await starting;
      throwIfAborted(this.#signal);
      throwIfAborted(signal);
      return address;
    } catch (error) {
      ignore();
      throw error;
    } finally {
      this.#starting = undefined;
    }
  }

  /**
   * Stops listening and closes all connections: what was written is sent, and peers that
   * neither take it nor end are waited for as long as `closeTimeout` says. A second call
   * waits with the first.
   *
   * @returns resolves once all is gone
   */
  close(): Promise<void> {
    this.#closing ??= this.#close().finally(() => {
      for (const ignore of this.#ignoring) ignore();
    });
    return this.#closing;
  }

  /**
   * Ends all connections at once, dropping what was not yet sent. Beside close() for whoever
   * cannot wait; alone, the server goes on to listen.
   */
  closeAllConnections(): void {
    for (const socket of this.#dismiss()) socket.destroy();
  }

  /** Has the server keep the process alive, which it does unless `unref()` was called. */
  ref(): this {
    this.#server.ref();
    return this;
  }

  /** Lets the process end while the server listens. */
  unref(): this {
    this.#server.unref();
    return this;
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('DevmemServer', () => {
      const { listening, maxConnections } = this;
      const connections = this.#sockets.size;
      return { listening, address: this.address(), connections, maxConnections };
    });
  }

  #checkIdle(): void {
    if (this.#closing !== undefined) {
      throw new DevmemError('ERR_DEVMEM_CLOSED', 'The server was closed: create another one');
    }
    if (this.#starting === undefined && !this.listening) return;
    const message = 'The server listens already, or is about to: create another one for each port';
    throw withCode(new Error(message), 'ERR_SERVER_ALREADY_LISTEN');
  }

  async #start(options: net.ListenOptions): Promise<net.AddressInfo> {
    this.#server.listen(options);
    await once(this.#server, 'listening');
    this.#server.on('error', (error) => this.emit('error', error));
    return this.#server.address() as net.AddressInfo;
  }

  async #close(): Promise<void> {
    await this.#starting;
    const wasListening = this.#server.listening;
    if (wasListening) this.#server.close();
    await Promise.all(this.#dismiss().map((socket) => socket.close()));
    if (wasListening) await this.#gone;
  }

  #dismiss(): DevmemSocket[] {
    const sockets = [...this.#sockets];
    for (const socket of sockets) this.#dismissed.add(socket);
    return sockets;
  }

  #accept(connection: net.Socket): void {
    let socket: DevmemSocket;
    try {
      socket = receiveFrom(connection, this.#usable(), this.#socketOptions);
    } catch (error) {
      // Such as descriptors running out.
      connection.destroy();
      this.emit('socketError', error, undefined);
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#leave(socket));
    this.emit('connection', socket);
    if (this.#handler !== undefined) void this.#handle(socket, this.#handler);
  }

  // Of net.Server its last connections are still closing when it tells of its end.
  #leave(socket: DevmemSocket): void {
    this.#sockets.delete(socket);
    if (this.#stopped && this.#sockets.size === 0) this.#emitApart('close');
  }

  // Where a new connection's data may be. A closed binding has none to come, but what came
  // before the connection was accepted.
  #usable(): CheckedBindings {
    const open = this.#bindings.filter((each) => !each.closed);
    const [first, ...others] = open;
    if (first === undefined) {
      this.#warnOfClosedBindings();
      throw new DevmemError(
        'ERR_DEVMEM_CLOSED',
        "The server's binding was closed: bind again with bindRx(), and give the server the new one with addBinding()",
      );
    }
    return [first, ...others, ...this.#bindings.filter((each) => each.closed && mayHaveData(each))];
  }

  // 'socketError' may go unheard, and a server that drops all that comes must not.
  #warnOfClosedBindings(): void {
    if (this.#warnedOfClosedBindings) return;
    this.#warnedOfClosedBindings = true;
    const { address, port } = this.address() ?? { address: '?', port: '?' };
    process.emitWarning(
      `The server at ${address}:${port} drops its connections: all its bindings were closed`,
      {
        type: 'DevmemServerWarning',
        code: 'DEVMEM_SERVER_WITHOUT_BINDING',
        detail:
          'Close the server before its bindings (`await using` closes them at the end of its block), or give it a new binding with addBinding().',
      },
    );
  }

  async #handle(socket: DevmemSocket, handler: ConnectionHandler): Promise<void> {
    try {
      await handler(socket);
    } catch (error) {
      const expected = this.#dismissed.has(socket) || socket.explains(error);
      socket.destroy();
      if (expected) this.#emitApart('socketError', error, socket);
      else this.#emitApart('error', error);
      return;
    }
    const { error: known } = socket;
    await socket.close();
    // What the handler wrote did not all get out, and nobody but the server knows.
    if (socket.error !== known) this.#emitApart('socketError', socket.error, socket);
  }

  // Not from within a promise: what a listener throws, or an 'error' without one, is an
  // uncaught exception, as with Node's own servers.
  #emitApart(event: string, ...values: unknown[]): void {
    process.nextTick(() => this.emit(event, ...values));
  }

  #obey(signal: AbortSignal | undefined): () => void {
    const ignore = onAbort(signal, (reason) => {
      for (const socket of this.#sockets) socket.destroy(reason);
      void this.close();
    });
    this.#ignoring.push(ignore);
    return ignore;
  }
}

// What fits in net.Server's count.
const MAX_CONNECTIONS = 2 ** 31 - 1;

// Not once its memory is somebody else's, or gone.
function mayHaveData(binding: Binding): boolean {
  return !binding.closed || (binding.pool.ownsMemory && !binding.memory.closed);
}

/**
 * Creates a server; `listen()` starts it.
 *
 * ```ts
 * const server = createServer({ binding }, async (socket) => {
 *   for await (using batch of socket.batches()) batch.forEach(consume, consumeBytes);
 * });
 * await server.listen({ port: 5201 });
 * await once(server, 'close'); // before memory and binding end with their block
 * ```
 *
 * @param options - `net.createServer`'s, and the binding
 */
export function createServer(options: ServerOptions, handler?: ConnectionHandler): DevmemServer {
  checkBindings(options?.binding);
  if (handler !== undefined && typeof handler !== 'function') {
    throw invalidArgType('handler', 'a function', handler);
  }
  return DevmemServer.make(options, handler);
}
