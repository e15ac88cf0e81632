// @ts-check
// Tells of itself at the path that it is given, and receives until it is told to end: 'end' as a
// program does, 'throw' by an exception. Prints its port.
import { once } from 'node:events';

import { bindRx, createServer, DmaBuf, serveDiagnostics } from 'devmem-tcp';

const [, , path = '', what = 'serve'] = process.argv;
await serveDiagnostics({ path });
if (what === 'serve') {
  const memory = await DmaBuf.allocate({ type: 'host', size: 4 * 2 ** 20 });
  const binding = await bindRx({ memory, mode: 'copy' });
  const server = createServer({ binding }, async (socket) => {
    for await (const batch of socket.batches()) batch.release();
  });
  const { port } = await server.listen({ host: '127.0.0.1' });
  console.log(`port ${port}`);
  const [order] = await once(process.stdin, 'data');
  if (String(order) === 'throw') throw new Error('as told');
  process.exit(0);
}
