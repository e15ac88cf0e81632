import net from 'node:net';

import { onAbort, throwIfAborted } from '../abort.js';
import { connectTimedOut, inWords } from './connect-errors.js';
import {
  type CheckedConnectOptions,
  checkConnectOptions,
  type ConnectOptions,
} from './connect-options.js';
import { DevmemSocket, streamFor } from './socket.js';

/**
 * Connects to a server; resolves with the connected socket.
 *
 * Flow steering must already send this connection's packets to a bound queue;
 * until it does, data arrives as linear fragments.
 *
 * @param options - `net.connect`'s for TCP, and the binding
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, RangeError ERR_OUT_OF_RANGE
 *   for options that cannot be
 * @throws DevmemError ERR_DEVMEM_CLOSED where a binding was closed
 * @throws SystemError as net.connect does: ECONNREFUSED, ETIMEDOUT, …; an AggregateError
 *   with that `code` where each of several addresses of a name failed
 * @throws the signal's reason
 */
export async function connect(options: ConnectOptions): Promise<DevmemSocket> {
  const checked = checkConnectOptions(options);
  throwIfAborted(checked.socketOptions.signal);
  // The constructor is what heeds noDelay, keepAlive and the like.
  const socket = new net.Socket(checked.netOptions);
  // Before connecting, or libuv would start to read.
  socket.pause();
  const stream = streamFor(socket, checked.bindings);
  try {
    await connected(socket, checked);
    return DevmemSocket.make(socket, stream, checked.socketOptions);
  } catch (error) {
    stream.detach();
    socket.destroy();
    throw inWords(error);
  }
}

async function connected(socket: net.Socket, checked: CheckedConnectOptions): Promise<void> {
  const { netOptions, timeout, socketOptions } = checked;
  const { host = 'localhost', port } = netOptions;
  let timer: NodeJS.Timeout | undefined;
  let ignore: (() => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
      ignore = onAbort(socketOptions.signal, reject);
      if (timeout > 0) {
        timer = setTimeout(() => {
          reject(connectTimedOut(host, port, timeout));
        }, timeout);
      }
      socket.connect(netOptions);
    });
  } finally {
    clearTimeout(timer);
    ignore?.();
  }
}
