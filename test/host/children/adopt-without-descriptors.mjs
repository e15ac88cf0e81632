// @ts-check
// Adopts a connection when no descriptor is left, and again when there are some.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import net from 'node:net';

import { adopt, bindRx, DmaBuf } from 'devmem-tcp';

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ memory, mode: 'copy' });
const server = net.createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = /** @type {net.AddressInfo} */ (server.address());
const client = net.connect(port, '127.0.0.1');
const [connection] = /** @type {[net.Socket]} */ (await once(server, 'connection'));
server.close();
client.resume();

execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=100:']);
const taken = takeAll();
try {
  adopt(connection, { binding });
} catch (error) {
  console.log(/** @type {NodeJS.ErrnoException} */ (error).code);
}
for (const fd of taken) closeSync(fd);

const socket = adopt(connection, { binding });
client.end('all of it');
for await (const fragment of socket) {
  console.log(
    Buffer.from(fragment.bytes ?? memory.read(fragment.offset, fragment.size)).toString(),
  );
  fragment.release();
}
await socket.close();
await binding.close();
const again = await bindRx({ memory, mode: 'copy' });
console.log('memory is free');
await again.close();
await memory.close();

/** Every descriptor that can be had. */
function takeAll() {
  const fds = [];
  for (;;) {
    try {
      fds.push(openSync('/dev/null', 'r'));
    } catch {
      return fds;
    }
  }
}
