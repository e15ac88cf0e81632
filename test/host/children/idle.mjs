// @ts-check
// `node idle.mjs PORT ref|unref|again|closing|server`: waits for what need not come.
import { bindRx, connect, createServer, DmaBuf } from 'devmem-tcp';

const [port, how] = process.argv.slice(2);

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ memory, mode: 'copy' });
process.on('beforeExit', () => console.log('nothing left to do'));

if (how === 'server') {
  const server = createServer({ binding });
  await server.listen({ host: '127.0.0.1' });
  server.unref();
  console.log('waiting');
} else {
  const options = { binding, closeTimeout: 3_600_000 };
  const socket = await connect({ ...options, host: '127.0.0.1', port: Number(port) });
  if (how !== 'ref') socket.unref();
  if (how === 'again') socket.ref();
  void socket
    .batches()
    .next()
    .then(() => console.log('ended'));
  console.log('waiting');
  if (how === 'closing') void socket.close();
}
