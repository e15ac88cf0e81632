/** The broker: holds the privilege to bind queues for processes that lack it. */
import { EventEmitter } from 'node:events';
import net from 'node:net';

import {
  checkInteger,
  checkObject,
  DevmemError,
  invalidArgType,
  invalidArgValue,
} from '../../errors.js';
import type { Credentials } from '../../native.js';
import { checkInterface, checkQueues } from '../interface-arguments.js';
import { listenAt, type SocketFile } from './listen.js';
import { type Allowance, type Policy, refusal } from './policy.js';
import { bidFarewell, type BrokerClient, serve, type SessionOptions } from './session.js';

export type { BrokerClient } from './session.js';

export interface BrokerOptions {
  /** Path of the socket to listen at, at most 98 bytes. A dead broker's is replaced. */
  socket: string;
  /** What may be bound, by whoever may connect. */
  allow: readonly Allowance[];
  /** Permissions of the socket: who may write to it may connect. Default 0o660. */
  mode?: number;
  /** Number of the socket's group. Default: this process's. */
  group?: number;
  /** Users that are served. With `allowGids`, default: whoever may connect. */
  allowUids?: readonly number[];
  /** Groups whose processes (their primary group) are served. */
  allowGids?: readonly number[];
  /** Clients at a time, 1 to 10000; others are refused. Default 64. */
  maxClients?: number;
  /** Milliseconds that a request may take to arrive, 1 to 2^31-1. Default 5000. */
  requestTimeoutMs?: number;
}

interface BrokerEvents {
  bound: [BrokerClient];
  unbound: [BrokerClient];
  refused: [Error, Credentials | undefined];
  close: [];
}

const MODE = 0o660;
const MAX_CLIENTS = 64;
const REQUEST_TIMEOUT_MS = 5000;
const MAX_ID = 2 ** 32 - 2;

/**
 * A process that binds queues for others. Each client has its own binding, for as long
 * as it stays connected; none can touch another's.
 *
 * Events: `'bound'` and `'unbound'` with the client, `'refused'` with the reason and
 * who asked, `'close'`.
 */
export class Broker extends EventEmitter<BrokerEvents> implements AsyncDisposable {
  /** Where it listens. */
  readonly socket: string;
  readonly #server: net.Server;
  readonly #end = new AbortController();
  readonly #sessions = new Set<Promise<void>>();
  readonly #options: SessionOptions;
  readonly #maxClients: number;
  #removeFile: () => Promise<void> = () => Promise.resolve();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(socket: string, policy: Policy, limits: { maxClients: number; timeoutMs: number }) {
    super();
    this.socket = socket;
    this.#maxClients = limits.maxClients;
    this.#options = {
      policy,
      requestTimeoutMs: limits.timeoutMs,
      signal: this.#end.signal,
      onBound: (client) => this.emit('bound', client),
      onUnbound: (client) => this.emit('unbound', client),
      onRefused: (error, peer) => this.emit('refused', error, peer),
    };
    this.#server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (connection) => {
      this.#accept(connection);
    });
  }

  /** Connections being served. */
  get clients(): number {
    return this.#sessions.size;
  }

  /** @internal */
  async listen(file: SocketFile): Promise<void> {
    this.#removeFile = await listenAt(this.#server, file);
  }

  /** Unbinds everything and takes the socket away. A second call waits with the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#removeFile();
    this.#server.close();
    this.#end.abort(new DevmemError('ERR_DEVMEM_CLOSED', 'The broker was closed'));
    await Promise.all(this.#sessions);
    this.emit('close');
  }

  #accept(connection: net.Socket): void {
    if (this.#sessions.size >= this.#maxClients) {
      connection.on('error', () => {});
      const error = refusal(`has ${this.#maxClients} clients already`, 'max-clients lets more in');
      this.emit('refused', error, undefined);
      bidFarewell(connection, error);
      return;
    }
    const session = serve(connection, this.#options).then(() => {
      this.#sessions.delete(session);
    });
    this.#sessions.add(session);
  }
}

/**
 * Starts a broker in this process, which needs CAP_NET_ADMIN in the network namespace
 * of the interfaces: `devmem-tcp broker` as a function.
 *
 * @throws TypeError, RangeError for unusable options
 * @throws SystemError EADDRINUSE where a broker listens there already; what making the
 *   socket fails with
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  checkObject('options', options);
  if (typeof options.socket !== 'string') {
    throw invalidArgType('options.socket', 'a path', options.socket);
  }
  const policy: Policy = {
    allow: checkAllowances(options.allow),
    uids: checkIds('options.allowUids', options.allowUids),
    gids: checkIds('options.allowGids', options.allowGids),
  };
  const file: SocketFile = {
    path: options.socket,
    mode: checkInteger('options.mode', options.mode ?? MODE, 0, 0o777),
    gid: options.group === undefined ? undefined : checkId('options.group', options.group),
  };
  const { maxClients = MAX_CLIENTS, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  checkInteger('options.maxClients', maxClients, 1, 10_000);
  checkInteger('options.requestTimeoutMs', requestTimeoutMs, 1, 2 ** 31 - 1);
  const broker = new Broker(options.socket, policy, { maxClients, timeoutMs: requestTimeoutMs });
  await broker.listen(file);
  return broker;
}

function checkAllowances(allow: unknown): Allowance[] {
  if (!Array.isArray(allow)) throw invalidArgType('options.allow', 'an array of objects', allow);
  if (allow.length === 0) {
    throw invalidArgValue(
      'options.allow',
      'one interface or more: nothing else is given out',
      allow,
    );
  }
  return allow.map((entry: unknown, index) => {
    const argument = `options.allow[${index}]`;
    const { interface: name, queues } = checkObject(argument, entry) as Partial<Allowance>;
    return {
      interface: checkInterface(name, `${argument}.interface`),
      ...(queues !== undefined && { queues: checkQueues(queues, `${argument}.queues`) }),
    };
  });
}

function checkIds(argument: string, ids: unknown): number[] | undefined {
  if (ids === undefined) return undefined;
  if (!Array.isArray(ids)) throw invalidArgType(argument, 'an array of numbers', ids);
  return ids.map((id, index) => checkId(`${argument}[${index}]`, id));
}

function checkId(argument: string, id: unknown): number {
  return checkInteger(argument, id, 0, MAX_ID);
}
