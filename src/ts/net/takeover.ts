/** Taking a connected net.Socket's receiving side from Node. */
import net from 'node:net';

import { DevmemError, invalidArgType } from '../errors.js';
import { descriptorOf, isUsedByHttp, takeReading } from '../ipc/handle.js';

// Two receivers on one connection would take each other's bytes.
const taken = new WeakSet<net.Socket>();

export interface TakenOver {
  /** Bytes that Node had read before. */
  head: Buffer | undefined;
  /** Whether the writing side stays open when the peer ends its stream. */
  allowHalfOpen: boolean;
}

/**
 * Whether a socket can be taken over. Changes nothing.
 *
 * @returns the connection's descriptor, still owned by the net.Socket
 * @throws TypeError ERR_INVALID_ARG_TYPE for anything but a net.Socket
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE for TLS, a socket that is connecting
 *   or destroyed, one that is not TCP, decodes to text, is in use by Node's HTTP, or was
 *   taken over before
 */
export function checkTakeOver(socket: net.Socket): number {
  if (!(socket instanceof net.Socket)) throw invalidArgType('socket', 'a net.Socket', socket);
  if (isTls(socket)) {
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
  if (isUsedByHttp(socket)) {
    throw wrongState(
      "is in use by Node's HTTP, which reads it: adopt it in the 'upgrade' or 'connect' event of a server or a request, with the event's `head`",
    );
  }
  if (socket.readableEncoding !== null) {
    throw wrongState(
      `decodes its bytes to text (setEncoding('${socket.readableEncoding}')), and which they were cannot be told any more: adopt one without an encoding`,
    );
  }
  return fd;
}

/**
 * Takes over a socket that checkTakeOver() let pass: Node reads it no more, times it no
 * more, and leaves it to the new owner when its writing side ends.
 */
export function takeOver(socket: net.Socket): TakenOver {
  const head = takeReading(socket);
  taken.add(socket);
  // Node sees nothing of what comes, and would find the connection idle.
  socket.setTimeout(0);
  const { allowHalfOpen } = socket;
  // Node may have read the peer's end, and be about to end the writing side for that.
  socket.allowHalfOpen = true;
  return { head, allowHalfOpen };
}

/** By its documented mark first: to ask for its class loads all of TLS. */
function isTls(socket: net.Socket): boolean {
  const { encrypted } = socket as { encrypted?: unknown };
  return encrypted === true && socket instanceof process.getBuiltinModule('node:tls').TLSSocket;
}

function wrongState(what: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_SOCKET_STATE', `The socket ${what}`);
}
