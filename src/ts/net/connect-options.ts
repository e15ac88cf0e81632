/** Options of connect(). */
import type net from 'node:net';

import { checkInteger, checkLeftOut } from '../errors.js';
import type { Bindings } from '../receive/binding.js';
import { checkBindings, type CheckedBindings } from './bindings.js';
import { checkSocketOptions, type SocketOptions } from './socket-options.js';

// What a timer holds.
const MAX_TIMEOUT = 2 ** 31 - 1;

/** Options of `connect()`: those of `net.connect()` for TCP, and these. */
export interface ConnectOptions
  extends Omit<net.TcpSocketConnectOpts, 'onread'>, Omit<SocketOptions, 'head'> {
  /** What the socket receives into: one binding, or several of the devmem path. */
  binding: Bindings;
  /** Keep the writing side open when the peer ends its stream. Default false. */
  allowHalfOpen?: boolean;
  /**
   * How long connecting may take in milliseconds, from the look-up of the host's name to the
   * last of its addresses: ETIMEDOUT after that. 0, the default: as long as the kernel
   * tries. Unlike `net.connect`'s it does not watch over the connection once it is there.
   */
  timeout?: number;
  /** Sends small writes at once (TCP_NODELAY). Default false. */
  noDelay?: boolean | undefined;
  /** Has the kernel probe an idle connection (SO_KEEPALIVE). Default false. */
  keepAlive?: boolean | undefined;
  /** Idle milliseconds before the first probe; 0: the kernel's own. Default 0. */
  keepAliveInitialDelay?: number | undefined;
  /** Gives up connecting, or closes the socket, when aborted. */
  signal?: AbortSignal;
}

export interface CheckedConnectOptions {
  bindings: CheckedBindings;
  socketOptions: SocketOptions;
  /** For net.Socket and its connect(). */
  netOptions: net.TcpSocketConnectOpts & net.SocketConstructorOpts;
  /** Milliseconds; 0: none. */
  timeout: number;
}

const TCP_ONLY = 'only TCP connections receive into a binding. Give host and port';
const OWN_SOCKET = 'connect() makes a socket of its own. adopt() takes one that is connected';
const READ_HERE = 'what comes is read as fragments, from the socket that connect() returns';
const BOTH_WAYS = 'a connection has both directions';

/** Options of net.Socket and its streams that would have the bytes go elsewhere. */
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['path', TCP_ONLY],
  ['fd', OWN_SOCKET],
  ['handle', OWN_SOCKET],
  ['onread', READ_HERE],
  ['encoding', READ_HERE],
  ['read', READ_HERE],
  ['readable', BOTH_WAYS],
  ['writable', BOTH_WAYS],
]);

/**
 * Checks what net.connect would not, or would heed in ways that break the socket.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, RangeError ERR_OUT_OF_RANGE
 * @throws DevmemError ERR_DEVMEM_CLOSED where a binding was closed
 */
export function checkConnectOptions(options: ConnectOptions): CheckedConnectOptions {
  const bindings = checkBindings(options?.binding);
  checkLeftOut(options, REFUSED);
  const { signal, lowWaterMark, closeTimeout, ...others } = options;
  const { timeout = 0, allowHalfOpen = false, ...rest } = others;
  return {
    bindings,
    socketOptions: checkSocketOptions({
      ...(signal !== undefined && { signal }),
      ...(lowWaterMark !== undefined && { lowWaterMark }),
      ...(closeTimeout !== undefined && { closeTimeout }),
    }),
    netOptions: { ...rest, allowHalfOpen },
    timeout: checkInteger('options.timeout', timeout, 0, MAX_TIMEOUT),
  };
}
