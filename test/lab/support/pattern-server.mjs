// @ts-check
// Sends BYTES of the pattern to everyone who connects: node pattern-server.mjs HOST PORT BYTES SEED
import net from 'node:net';
import { Readable } from 'node:stream';

import { Pattern } from '../../../dist/cli/demo/pattern.js';

const PIECE = 256 * 1024;
const [host, port, bytes, seed] = process.argv.slice(2);
const total = Number(bytes);
const pattern = new Pattern(Number(seed));

function* pieces() {
  for (let at = 0; at < total; at += PIECE) yield pattern.slice(at, Math.min(PIECE, total - at));
}

const server = net.createServer((socket) => {
  Readable.from(pieces()).pipe(socket);
  socket.on('error', () => {});
});
server.listen({ host, port: Number(port) }, () => console.log('listening'));
