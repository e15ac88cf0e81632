// @ts-check
// `node asker.mjs HOST PORT PIECES`: writes the pieces (JSON), ends its direction, and
// prints what comes back.
import { once } from 'node:events';
import net from 'node:net';

const [host, port, pieces] = process.argv.slice(2);
const socket = net.connect({ host, port: Number(port), allowHalfOpen: true });
await once(socket, 'connect');
socket.setNoDelay(true);
for (const piece of /** @type {string[]} */ (JSON.parse(pieces ?? '[]'))) {
  await new Promise((resolve) => {
    socket.write(piece, resolve);
  });
}
socket.end();
socket.pipe(process.stdout);
