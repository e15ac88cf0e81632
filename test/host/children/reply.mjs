// @ts-check
// A server that answers each request at length, and hears no errors. Prints its port
// and, for each connection that is over, a line.
import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ memory, mode: 'copy' });
const server = createServer({ binding }, async (socket) => {
  socket.on('close', () => console.log('connection closed'));
  for await (const batch of socket.batches()) {
    batch.release();
    socket.writable.write(Buffer.alloc(2 ** 24));
    socket.writable.write(Buffer.alloc(2 ** 24));
  }
});
const { port } = await server.listen({ host: '127.0.0.1' });
console.log(String(port));
