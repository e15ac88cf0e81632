/** The broker: holds the privilege to bind queues for processes that lack it. */
import { EventEmitter } from 'node:events';
import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../../construction.js';
import { DevmemError } from '../../errors.js';
import { type Listening, listenAt, listenWith } from '../../ipc/listen.js';
import { StrangersConnection, UnixListener } from '../../ipc/listener.js';
import { Seats } from '../../ipc/seats.js';
import { closeStrangers } from '../../ipc/strangers.js';
import type { Credentials, OwnedFd } from '../../native.js';
import { portrait } from '../../portrait.js';
import { CONNECTION_STAYS } from '../../uncloneable.js';
import { type BrokerOptions, checkBrokerOptions, type CheckedBrokerOptions } from './options.js';
import { seatRefusal } from './policy.js';
import { bidFarewell, type BrokerClient, serve, type SessionOptions } from './session.js';

/** What a broker tells of its clients. */
export interface BrokerEvents {
  /** A client has its binding. */
  bound: [BrokerClient];
  /** A client's binding is undone. */
  unbound: [BrokerClient];
  /** A client got none, and why; who it was, where the kernel told. */
  refused: [Error, Credentials | undefined];
  /** The broker has closed: nothing is bound any more. */
  close: [];
}

// Connections beyond the clients that can be told so at a time. They take no longer than
// closing what they sent, which is up to whoever sent it.
const MAX_REFUSED = 64;

/**
 * A process that binds queues for others. Each client has its own binding, for as long
 * as it stays connected; none can touch another's.
 *
 * Events: `'bound'` and `'unbound'` with the client, `'refused'` with the reason and
 * who asked, `'close'`. What a listener throws is an uncaught exception, and changes
 * nothing here.
 */
export class Broker extends EventEmitter<BrokerEvents> implements AsyncDisposable {
  /** @internal */
  readonly uncloneable = CONNECTION_STAYS;
  /** Where it listens; '' for an inherited socket without a path. */
  readonly socket: string;
  readonly #listening: Listening;
  readonly #listener: UnixListener;
  readonly #seats: Seats;
  readonly #options: SessionOptions;
  /** Ends each session. */
  readonly #ends = new Set<AbortController>();
  readonly #sessions = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  private constructor(maker: symbol, listening: Listening, options: CheckedBrokerOptions) {
    checkMaker(maker, 'Broker', 'startBroker()');
    super();
    this.socket = listening.path;
    this.#listening = listening;
    this.#seats = new Seats(options.maxClients, options.maxClientsPerUser, seatRefusal);
    this.#options = {
      policy: options.policy,
      requestTimeoutMs: options.requestTimeoutMs,
      onBound: (client) => tell(() => this.emit('bound', client)),
      onUnbound: (client) => tell(() => this.emit('unbound', client)),
    };
    const most = options.maxClients + MAX_REFUSED;
    this.#listener = new UnixListener(listening.fd, most, (fd) => this.#attend(fd));
  }

  /** @internal */
  static make(listening: Listening, options: CheckedBrokerOptions): Broker {
    return new Broker(MAKER, listening, options);
  }

  /** Clients being served, and those that left descriptors whose closing still takes time. */
  get clients(): number {
    return this.#seats.taken;
  }

  /** Unbinds everything and takes the socket away. A second call waits with the first. */
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
    return portrait('Broker', () => {
      const { socket, clients } = this;
      return { socket, clients, closed: this.#closing !== undefined };
    });
  }

  async #close(): Promise<void> {
    await this.#listening.remove();
    this.#listener.close();
    const reason = new DevmemError('ERR_DEVMEM_CLOSED', 'The broker was closed');
    for (const end of this.#ends) end.abort(reason);
    await Promise.allSettled(this.#sessions);
    tell(() => this.emit('close'));
  }

  /** Sees a connection to its end, until all that came of it is closed. Never rejects. */
  async #attend(fd: OwnedFd): Promise<void> {
    let connection: StrangersConnection;
    try {
      connection = new StrangersConnection(fd);
    } catch (error) {
      tell(() => this.emit('refused', error as Error, undefined));
      return closeStrangers([fd]);
    }
    const sent: OwnedFd[] = [];
    const leave = await this.#serve(connection, sent);
    await connection.close(sent);
    leave?.();
  }

  /** @returns gives the client's seat back, if it had one */
  async #serve({ unix }: StrangersConnection, sent: OwnedFd[]): Promise<(() => void) | undefined> {
    let peer: Credentials | undefined;
    let leave: (() => void) | undefined;
    const end = new AbortController();
    this.#ends.add(end);
    try {
      peer = unix.peer;
      leave = this.#seats.take(peer.uid);
      const session = serve(unix, peer, sent, end, this.#options);
      this.#sessions.add(session);
      await session.finally(() => this.#sessions.delete(session));
      await bidFarewell(unix.socket, undefined);
    } catch (error) {
      if (this.#closing === undefined) tell(() => this.emit('refused', error as Error, peer));
      await bidFarewell(unix.socket, error);
    }
    this.#ends.delete(end);
    return leave;
  }
}

/** Has listeners called. What they throw is nobody's fault here: an uncaught exception. */
function tell(emit: () => boolean): void {
  void new Promise((resolve) => resolve(emit()));
}

/**
 * Starts a broker in this process, which needs CAP_NET_ADMIN in the network namespace
 * of the interfaces: `devmem-tcp broker` as a function.
 *
 * @throws TypeError, RangeError for unusable options
 * @throws SystemError EADDRINUSE where a process has a socket there already; what making
 *   the socket fails with
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const checked = checkBrokerOptions(options);
  const { socket } = checked;
  const listening =
    'fd' in socket ? listenWith(socket.fd) : await listenAt(socket, 'options.socket');
  return Broker.make(listening, checked);
}
