/**
 * Taking a connected net.Socket's receiving side from libuv. The one place that
 * touches `socket._handle`, which is Node's own business: what is relied on here
 * is pinned by tests on every supported Node version.
 */
import net from 'node:net';
import tls from 'node:tls';

import { DevmemError, invalidArgType } from '../errors.js';

interface TcpHandle {
  fd: number;
  reading: boolean;
  readStop(): number;
}

// Two receivers on one connection would take each other's bytes.
const taken = new WeakSet<net.Socket>();

export interface TakenOver {
  /** The connection's descriptor, still owned by the net.Socket. */
  fd: number;
  /** Bytes that Node had read before. */
  head: Buffer | undefined;
}

/**
 * Stops libuv from reading the socket and returns what is needed to read it
 * otherwise.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE for anything but a net.Socket
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE for TLS, a socket that is connecting
 *   or destroyed, one that is not TCP, or one that was taken over before
 */
export function takeOver(socket: net.Socket): TakenOver {
  if (!(socket instanceof net.Socket)) throw invalidArgType('socket', 'a net.Socket', socket);
  if (socket instanceof tls.TLSSocket) {
    throw wrongState(
      'is a TLS socket: its payload is encrypted and cannot be used where the NIC puts it. Use plain TCP',
    );
  }
  if (socket.destroyed) throw wrongState('is destroyed');
  if (socket.connecting || socket.pending)
    throw wrongState("has not connected yet: wait for 'connect'");
  const handle = handleOf(socket);
  if (handle === undefined) throw wrongState('is not a TCP connection with a file descriptor');
  if (taken.has(socket))
    throw wrongState('was adopted before: use the socket that adopt() returned');
  taken.add(socket);
  socket.pause();
  // Asking for buffered bytes makes the stream ask libuv for more; so reading is
  // stopped after it, and nothing is asked for where nothing is buffered.
  const head = socket.readableLength > 0 ? (socket.read() as Buffer | null) : null;
  handle.reading = false;
  handle.readStop();
  return { fd: handle.fd, head: head ?? undefined };
}

function handleOf(socket: net.Socket): TcpHandle | undefined {
  const handle = (socket as unknown as { _handle?: Partial<TcpHandle> | null })._handle;
  // Not by the peer's address: a connection that was reset since has none, and its
  // error is for whoever reads.
  const isTcp = handle?.constructor?.name === 'TCP';
  const usable = isTcp && typeof handle.readStop === 'function' && (handle.fd ?? -1) >= 0;
  return usable ? (handle as TcpHandle) : undefined;
}

function wrongState(what: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_SOCKET_STATE', `The socket ${what}`);
}
