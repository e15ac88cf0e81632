// @ts-check
/** What a consumer's own tests are like. */
import { connect } from 'node:net';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';
import { expect, it, vi } from 'vitest';

it('receives a stream', async () => {
  const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const binding = await bindRx({ memory, mode: 'copy' });
  const handler = vi.fn();
  const server = createServer({ binding }, async (socket) => {
    const reader = socket.reader();
    handler(Buffer.from(await reader.read(5)).toString());
  });
  const { port } = await server.listen(0, '127.0.0.1');
  connect(port, '127.0.0.1').end('hello');
  await vi.waitFor(() => expect(handler).toHaveBeenCalledWith('hello'));
  await server.close();
  await binding.close();
  await memory.close();
});
