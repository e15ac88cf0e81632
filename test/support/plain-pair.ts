import type net from 'node:net';

import { close, closing, connectPlain, PlainServer } from './peers.js';

/** A connection of two plain sockets: one to adopt, and its peer. */
export interface PlainPair extends AsyncDisposable {
  socket: net.Socket;
  peer: net.Socket;
}

/** @param options - of the server that accepts `socket` */
export async function plainPair(options: net.ServerOpts = {}): Promise<PlainPair> {
  const server = await PlainServer.listen(options);
  const accepted = server.accept();
  const peer = await connectPlain(server.port);
  peer.on('error', () => {});
  peer.resume();
  const socket = await accepted;
  return {
    socket,
    peer,
    async [Symbol.asyncDispose]() {
      await close(peer);
      await closing(socket);
      await server[Symbol.asyncDispose]();
    },
  };
}
