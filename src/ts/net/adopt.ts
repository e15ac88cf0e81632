import type net from 'node:net';

import type { Bindings } from '../receive/binding.js';
import { checkBindings, type CheckedBindings } from './bindings.js';
import { DevmemSocket, streamFor } from './socket.js';
import { checkSocketOptions, type SocketOptions } from './socket-options.js';
import { checkTakeOver } from './takeover.js';

/** Options of `adopt()`. */
export interface AdoptOptions extends SocketOptions {
  /**
   * What the socket receives into: one binding, or several of the devmem path where the
   * connection's packets may reach queues of each. Every fragment's `memory` tells which.
   */
  binding: Bindings;
}

/**
 * Takes over the receiving side of a connected `net.Socket`, at any moment, also within its
 * events. Bytes that Node has read and nobody took come first, as a linear fragment: best
 * there are none, as with a socket that was paused before it connected, or one of a server
 * with `pauseOnConnect`. Bytes that a 'data' handler was given are the handler's: pass them
 * as `head` where they belong to the stream.
 *
 * From then on the connection belongs to the returned socket; close that one. The
 * `net.Socket` is told of no more data and of no end (a loop over it throws when the
 * connection closes), its idle timeout (`setTimeout()`) is off, and destroying it fails the
 * stream.
 *
 * Whatever is refused is refused before anything of the socket was taken: it can be used
 * on, or adopted with other options.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, RangeError ERR_OUT_OF_RANGE
 *   for options that cannot be
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE for a socket that is connecting, destroyed,
 *   TLS, not TCP, in use by Node's HTTP, or that decodes to text (`setEncoding()`)
 * @throws DevmemError ERR_DEVMEM_CLOSED where a binding was closed
 * @throws SystemError where the socket cannot be polled, such as EMFILE
 */
export function adopt(socket: net.Socket, options: AdoptOptions): DevmemSocket {
  const bindings = checkBindings(options?.binding);
  const checked = checkSocketOptions(options);
  checkTakeOver(socket);
  return receiveFrom(socket, bindings, checked);
}

/** @internal As adopt(), with what was checked. */
export function receiveFrom(
  socket: net.Socket,
  bindings: CheckedBindings,
  options: SocketOptions,
): DevmemSocket {
  const stream = streamFor(socket, bindings);
  try {
    return DevmemSocket.make(socket, stream, options);
  } catch (error) {
    stream.detach();
    throw error;
  }
}
