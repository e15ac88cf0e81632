// @ts-check
// A receiver that holds what it gets, and tells its parent when it has some: to be killed.
// Into memory of its parent's, where that gives it a descriptor.
import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const size = 16 * 2 ** 20;
const [, , fd] = process.argv;
const memory =
  fd === undefined
    ? await DmaBuf.allocate({ type: 'udmabuf', size })
    : await DmaBuf.import({ fd: Number(fd), size });
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
