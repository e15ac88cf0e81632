// @ts-check
// Has 'close' listeners throw, and prints what comes of it.
import { once } from 'node:events';

import { bindRx, connect, createServer, DmaBuf } from 'devmem-tcp';

process.on('uncaughtException', (error, origin) => console.log(`${origin}: ${error.message}`));

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ memory, mode: 'copy' });
const server = createServer({ binding });
const { port } = await server.listen({ host: '127.0.0.1' });
const accepted = once(server, 'connection');
const socket = await connect({ binding, host: '127.0.0.1', port });
await accepted;

socket.on('close', () => {
  throw new Error('thrown by a listener of the socket');
});
server.closeAllConnections();
await socket.close();
console.log('the socket is closed');

server.on('close', () => {
  throw new Error('thrown by a listener of the server');
});
await server.close();
console.log('the server is closed');
