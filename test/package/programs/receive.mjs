// @ts-check
/** Receives a stream over the copy transport and compares it with what was sent. */
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

const sent = randomBytes(8 * 2 ** 20);

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ memory, mode: 'copy' });
const received = createHash('sha256');
let bytes = 0;
/** @type {import('devmem-tcp').TransportName | undefined} */
let transport;

const server = createServer({ binding }, async (socket) => {
  transport = socket.transport;
  for await (const frag of socket) {
    received.update(frag.bytes ?? memory.read(frag.offset, frag.size));
    bytes += frag.size;
    frag.release();
  }
  await server.close();
  await binding.close();
  await memory.close();
  const whole = received.digest('hex') === createHash('sha256').update(sent).digest('hex');
  process.stdout.write(`${JSON.stringify({ transport, bytes, whole })}\n`);
});
const { port } = await server.listen({ host: '127.0.0.1' });
net.connect({ host: '127.0.0.1', port }).end(sent);
