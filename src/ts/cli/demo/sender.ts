/**
 * The sending end, a process of its own: `node sender.js HOST PORT BYTES SEED`
 * sends BYTES of the pattern and ends the connection.
 */
import net from 'node:net';

import { Pattern } from './pattern.js';

const PIECE = 256 * 1024;

const [host, port, bytes, seed] = process.argv.slice(2);
const total = Number(bytes);
const pattern = new Pattern(Number(seed));

const socket = net.connect({ host: host!, port: Number(port) });
let sent = 0;

function send(): void {
  while (sent < total) {
    const size = Math.min(PIECE, total - sent);
    const flowing = socket.write(pattern.slice(sent, size));
    sent += size;
    if (!flowing) {
      socket.once('drain', send);
      return;
    }
  }
  socket.end();
}

socket.on('connect', send);
// The receiver sends nothing; reading is what notices that it closed.
socket.resume();
socket.on('error', (error) => {
  process.stderr.write(`sender: ${error.message}\n`);
  process.exitCode = 1;
});
