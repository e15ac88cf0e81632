/** What startBroker() takes, and checking it. */
import {
  checkEach,
  checkInteger,
  checkObject,
  invalidArgType,
  invalidArgValue,
} from '../../errors.js';
import { checkInterface, checkQueues } from '../interface-arguments.js';
import type { SocketFile } from '../../ipc/listen.js';
import type { Allowance, Policy } from './policy.js';

/** A socket that listens already, as systemd hands it to a service. */
export interface InheritedSocket {
  /**
   * Its descriptor, of a Unix-domain stream socket. It is duplicated and stays the
   * caller's, and so does its file: closing the broker removes neither.
   */
  fd: number;
}

/** Options of `startBroker()`. */
export interface BrokerOptions {
  /**
   * Path of the socket to listen at: at most 107 bytes, and its last part 80. What a
   * broker that was killed left there is replaced. Or a socket that listens already.
   */
  socket: string | InheritedSocket;
  /** What may be bound, by whoever may connect. */
  allow: readonly Allowance[];
  /** Permissions of the socket: who may write to it may connect. Default 0o660. Not with `{ fd }`. */
  mode?: number;
  /** Number of the socket's group. Default: this process's. Not with `{ fd }`. */
  group?: number;
  /** Users that are served. With `allowGids`, default: whoever may connect. */
  allowUids?: readonly number[];
  /** Groups whose processes (their primary group) are served. */
  allowGids?: readonly number[];
  /** Clients at a time, 1 to 10000; others are refused. Default 64. */
  maxClients?: number;
  /**
   * Clients of one user (as the kernel tells by SO_PEERCRED) at a time, 1 to 10000; others
   * of the user are refused. Default: half of `maxClients`, so that no user has all.
   */
  maxClientsPerUser?: number;
  /** Milliseconds that a request may take to arrive, 1 to 2^31-1. Default 5000. */
  requestTimeoutMs?: number;
}

const MODE = 0o660;
const MAX_CLIENTS = 64;
const MOST_CLIENTS = 10_000;
const REQUEST_TIMEOUT_MS = 5000;
const MAX_ID = 2 ** 32 - 2;

/** @internal */
export interface CheckedBrokerOptions {
  socket: SocketFile | InheritedSocket;
  policy: Policy;
  maxClients: number;
  maxClientsPerUser: number;
  requestTimeoutMs: number;
}

/** @internal */
export function checkBrokerOptions(options: BrokerOptions): CheckedBrokerOptions {
  checkObject('options', options);
  const socket = checkSocket(options);
  const policy: Policy = {
    allow: checkAllowances(options.allow),
    uids: checkIds('options.allowUids', options.allowUids),
    gids: checkIds('options.allowGids', options.allowGids),
  };
  const { maxClients = MAX_CLIENTS, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  checkInteger('options.maxClients', maxClients, 1, MOST_CLIENTS);
  const { maxClientsPerUser = Math.ceil(maxClients / 2) } = options;
  checkInteger('options.maxClientsPerUser', maxClientsPerUser, 1, MOST_CLIENTS);
  checkInteger('options.requestTimeoutMs', requestTimeoutMs, 1, 2 ** 31 - 1);
  return { socket, policy, maxClients, maxClientsPerUser, requestTimeoutMs };
}

function checkSocket({ socket, mode, group }: BrokerOptions): SocketFile | InheritedSocket {
  if (typeof socket === 'string') {
    return {
      path: socket,
      mode: checkInteger('options.mode', mode ?? MODE, 0, 0o777),
      gid: group === undefined ? undefined : checkId('options.group', group),
    };
  }
  const { fd } = checkInherited(socket);
  const own = "left out with options.socket.fd: the socket's maker decides it";
  if (mode !== undefined) throw invalidArgValue('options.mode', own, mode);
  if (group !== undefined) throw invalidArgValue('options.group', own, group);
  return { fd };
}

function checkInherited(socket: unknown): InheritedSocket {
  if (typeof socket !== 'object' || socket === null) {
    throw invalidArgType('options.socket', 'a path, or { fd }', socket);
  }
  const { fd } = socket as Partial<InheritedSocket>;
  return { fd: checkInteger('options.socket.fd', fd, 0, 2 ** 31 - 1) };
}

function checkAllowances(allow: unknown): Allowance[] {
  if (Array.isArray(allow) && allow.length === 0) {
    throw invalidArgValue(
      'options.allow',
      'one interface or more: nothing else is given out',
      allow,
    );
  }
  return checkEach('options.allow', allow, 'an array of objects', (argument, entry) => {
    const { interface: name, queues } = checkObject(argument, entry) as Partial<Allowance>;
    return {
      interface: checkInterface(name, `${argument}.interface`),
      ...(queues !== undefined && { queues: checkQueues(queues, `${argument}.queues`) }),
    };
  });
}

function checkIds(argument: string, ids: unknown): number[] | undefined {
  if (ids === undefined) return undefined;
  return checkEach(argument, ids, 'an array of numbers', checkId);
}

function checkId(argument: string, id: unknown): number {
  return checkInteger(argument, id, 0, MAX_ID);
}
