// Reads the connection that is its descriptor 3 to the end. Prints 'reading' after some
// turns of the event loop in which nothing came, then how often it was woken meanwhile,
// and what came.
import net from 'node:net';
import { setImmediate as immediate } from 'node:timers/promises';

import { adopt, bindRx, DmaBuf } from 'devmem-tcp';

const TURNS = 200;

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
const binding = await bindRx({ memory, mode: 'copy' });
const connection = new net.Socket({ fd: 3, readable: true, writable: true });
connection.pause();
const socket = adopt(connection, { binding });
const iterator = socket.batches();
let next = iterator.next();
for (let turn = 0; turn < TURNS; turn++) await immediate();
const { wakes } = socket.stats;
console.log('reading');
let text = '';
for (let result = await next; result.done !== true; result = await next) {
  result.value.forEach((offset, size) => (text += memory.read(offset, size).toString()));
  result.value.release();
  next = iterator.next();
}
console.log(JSON.stringify({ wakes, text }));
await socket.close();
await binding.close();
