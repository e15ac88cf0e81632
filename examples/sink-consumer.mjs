// @ts-check
// The other process of sink.mjs, which starts it: hashes what it is told of, where it lies.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

import { receiveFd } from 'devmem-tcp';

const [, , place] = process.argv;
if (place === undefined || process.send === undefined) {
  console.error('sink.mjs starts this, with the path of its socket');
  process.exit(2);
}

// Ctrl-C goes to all processes of a terminal: the end of the channel ends this one.
process.on('SIGINT', () => {});

// Paused before it connects: Node would drop a descriptor that comes with what it reads.
const socket = new net.Socket();
socket.pause();
socket.connect(place);
await once(socket, 'connect');
const memory = await receiveFd(socket);
socket.destroy();

const hash = createHash('sha256');
let used = 0;
process.on('message', (/** @type {{ offset: number, length: number }} */ { offset, length }) => {
  hash.update(memory.map().subarray(offset, offset + length));
  used += length;
  process.send?.('used');
});
await once(process, 'disconnect');
if (used > 0) console.log(`sink: sha256 ${hash.digest('hex')}`);
await memory.close();
