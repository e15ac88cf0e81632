// @ts-check
// A receiver by io_uring that ends itself in the midst of a stream, with requests in flight:
// by process.exit(), or by nothing but the end of its work.
import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
const options = { interface: 'dms0', queues: [1], memory };
const binding = await bindRx({ ...options, mode: 'devmem', transport: 'zcrx' });
const server = createServer({ binding }, async (socket) => {
  const { value } = await socket.batches().next();
  if (process.argv[2] === 'exit') process.exit(7);
  value?.release();
  // Neither binding nor socket is closed: what they need is on its own from here on.
  socket.unref();
  server.unref();
  process.disconnect();
  await new Promise(() => {});
});
const { port } = await server.listen({ host: '192.0.2.1' });
process.send?.({ port });
