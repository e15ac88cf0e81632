import { once } from 'node:events';
import net from 'node:net';

import type { Bindings } from '../receive/binding.js';
import { checkBindings } from './bindings.js';
import { checkCloseTimeout } from './closing.js';
import { checkLowWaterMark, DevmemSocket } from './socket.js';

export type ConnectOptions = net.TcpSocketConnectOpts & {
  /** What the socket receives into: one binding, or several of the devmem path. */
  binding: Bindings;
  /** Keep the writing side open when the peer ends its stream. Default false. */
  allowHalfOpen?: boolean;
  /** As `DevmemSocket.setLowWaterMark()`: reads at every so many bytes. Default 1. */
  lowWaterMark?: number;
  /**
   * How long `close()` waits for the peer in vain, in milliseconds; see `AdoptOptions`.
   * 0: not at all; Infinity: without limit. Default: 2000.
   */
  closeTimeout?: number;
  /** Gives up connecting, or closes the socket, when aborted. */
  signal?: AbortSignal;
};

/**
 * Connects to a server; resolves with the connected socket.
 *
 * Flow steering must already send this connection's packets to a bound queue;
 * until it does, data arrives as linear fragments.
 *
 * @param options - `net.connect`'s for TCP, and the binding
 * @throws SystemError as net.connect does: ECONNREFUSED, ETIMEDOUT, …
 */
export async function connect(options: ConnectOptions): Promise<DevmemSocket> {
  const bindings = checkBindings(options?.binding);
  const { signal, allowHalfOpen, lowWaterMark, closeTimeout, ...netOptions } = options;
  checkLowWaterMark(lowWaterMark);
  checkCloseTimeout(closeTimeout);
  signal?.throwIfAborted();
  // The constructor is what heeds noDelay, keepAlive and the like.
  const socket = new net.Socket({ ...netOptions, allowHalfOpen: allowHalfOpen ?? false });
  // Before connecting, or libuv would start to read.
  socket.pause();
  try {
    socket.connect(netOptions);
    await once(socket, 'connect', signal === undefined ? {} : { signal });
    return new DevmemSocket(socket, {
      bindings,
      ...(signal !== undefined && { signal }),
      ...(lowWaterMark !== undefined && { lowWaterMark }),
      ...(closeTimeout !== undefined && { closeTimeout }),
    });
  } catch (error) {
    socket.destroy();
    throw signal?.aborted ? signal.reason : error;
  }
}
