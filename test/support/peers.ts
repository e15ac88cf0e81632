/** The other end: Node's own sockets on loopback. */
import { once } from 'node:events';
import net from 'node:net';

import { type Bindings, connect, type DevmemSocket } from 'devmem-tcp';

export const LOOPBACK = '127.0.0.1';
export const LOOPBACK_6 = '::1';

/** A server of plain sockets; those still open close with it. */
export class PlainServer implements AsyncDisposable {
  readonly #server: net.Server;
  readonly #sockets: net.Socket[] = [];

  private constructor(server: net.Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      this.#sockets.push(socket);
    });
  }

  static async listen(options: net.ServerOpts = {}, host = LOOPBACK): Promise<PlainServer> {
    const server = net.createServer(options);
    server.listen(0, host);
    await once(server, 'listening');
    return new PlainServer(server);
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** The next connection. */
  async accept(): Promise<net.Socket> {
    const [socket] = (await once(this.#server, 'connection')) as [net.Socket];
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A plain connected client. */
export async function connectPlain(
  port: number,
  host = LOOPBACK,
  options: net.SocketConstructorOpts = {},
): Promise<net.Socket> {
  const socket = new net.Socket(options);
  socket.connect(port, host);
  await once(socket, 'connect');
  return socket;
}

/** Waits until a plain socket is closed, by an error or not. */
export function closing(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

/** Closes a plain socket and waits until it is. */
export async function close(socket: net.Socket): Promise<void> {
  socket.destroy();
  await closing(socket);
}

/** Resets the connection: the other end reads ECONNRESET. */
export function reset(socket: net.Socket): void {
  socket.resetAndDestroy();
}

/** A connection of a DevmemSocket and a plain peer; both close at the end of its block. */
export interface Pair extends AsyncDisposable {
  socket: DevmemSocket;
  peer: net.Socket;
}

export interface PairOptions {
  allowHalfOpen?: boolean;
  signal?: AbortSignal;
  host?: string;
  lowWaterMark?: number;
  closeTimeout?: number;
  /** Whether the peer leaves its direction open once the socket has ended the other. */
  peerStaysOpen?: boolean;
}

export async function openPair(binding: Bindings, options: PairOptions = {}): Promise<Pair> {
  const { host = LOOPBACK, peerStaysOpen = false, ...connectOptions } = options;
  const server = await PlainServer.listen({ allowHalfOpen: true }, host);
  const accepted = server.accept();
  const socket = await connect({ binding, host, port: server.port, ...connectOptions });
  const peer = await accepted;
  // A peer that reads nothing would not notice a close.
  peer.resume();
  if (!peerStaysOpen) peer.once('end', () => peer.end());
  return {
    socket,
    peer,
    async [Symbol.asyncDispose]() {
      await close(peer);
      await socket.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
