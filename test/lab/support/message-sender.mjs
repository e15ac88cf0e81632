// Connects, sends messages of the pattern, each once the one before was answered by a
// byte, and ends the stream: node message-sender.mjs HOST PORT MESSAGES BYTES
import { once } from 'node:events';
import net from 'node:net';

import { Pattern } from '../../../dist/cli/transfer/pattern.js';

const [host, ...numbers] = process.argv.slice(2);
const [port = NaN, messages = NaN, bytes = NaN] = numbers.map(Number);
const pattern = new Pattern(1);
const socket = net.connect(port, host);
for (let sent = 0; sent < messages; sent++) {
  socket.write(pattern.slice(sent * bytes, bytes));
  await once(socket, 'data');
}
socket.end();
