/** Taking a connected net.Socket's receiving side from libuv. */
import net from 'node:net';
import tls from 'node:tls';

import { DevmemError, invalidArgType } from '../errors.js';
import { descriptorOf, stopReading } from '../ipc/handle.js';

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
  const fd = descriptorOf(socket, 'TCP');
  if (fd === undefined) throw wrongState('is not a TCP connection with a file descriptor');
  if (taken.has(socket))
    throw wrongState('was adopted before: use the socket that adopt() returned');
  taken.add(socket);
  return { fd, head: stopReading(socket, 'TCP') };
}

function wrongState(what: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_SOCKET_STATE', `The socket ${what}`);
}
