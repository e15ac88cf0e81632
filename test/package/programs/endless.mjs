// @ts-check
/** A stream that does not end by itself. */
import { once } from 'node:events';
import net from 'node:net';

const PIECE = Buffer.alloc(64 * 1024, 'endless');

/**
 * Serves a stream without end to whoever connects.
 *
 * @returns {Promise<{ port: number, close: () => void }>}
 */
export async function serveWithoutEnd() {
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    const send = () => {
      while (!socket.destroyed && socket.write(PIECE));
    };
    socket.on('drain', send);
    // The receiver goes away in the middle: a reset is what it is about.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    send();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  return {
    port,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
