// @ts-check
// A client in the peer's namespace: sends random bytes, framed as records where it is told their
// lengths, and the end of the stream; prints what it has sent and what came back, as JSON:
//   exchange.mjs HOST PORT raw BYTES
//   exchange.mjs HOST PORT records LENGTH…
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';

const [, , host = '', port = '', kind = '', ...lengths] = process.argv;

const digests = [];
const pieces = [];
for (const length of lengths.map(Number)) {
  const bytes = randomBytes(length);
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length);
  if (kind === 'records') pieces.push(header);
  pieces.push(bytes);
  digests.push(createHash('sha256').update(bytes).digest('hex'));
}
const socket = net.connect({ host, port: Number(port) });
socket.end(Buffer.concat(pieces));
const answer = Buffer.concat(await socket.toArray());
console.log(JSON.stringify({ digests, answer: answer.toString('hex') }));
