// @ts-check
// A receiver that holds what it gets, and tells its parent when it has some: to be killed.
import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
const transport = /** @type {'cmsg' | 'queue' | 'zcrx'} */ (process.env.DEVMEM_TRANSPORT ?? 'cmsg');
const options = { interface: 'dms0', queues: [1], memory, transport };
const binding = await bindRx({ ...options, mode: 'devmem' });
const server = createServer({ binding }, async (socket) => {
  const held = [];
  for await (const batch of socket.batches()) {
    held.push(batch);
    if (held.length === 1) process.send?.('receiving');
  }
});
const { port } = await server.listen({ host: '192.0.2.1' });
process.send?.({ port });
