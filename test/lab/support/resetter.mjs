// @ts-check
// `node resetter.mjs HOST PORT`: sends a MiB of sevens, and a reset once all is acknowledged.
import { execFileSync } from 'node:child_process';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const [host, port] = process.argv.slice(2);
const socket = net.connect({ host, port: Number(port) });

/** Bytes that the peer has not acknowledged, as `ss` has it: there is no event for it. */
function unacknowledged() {
  const line = execFileSync('ss', ['-Htn', 'dport', '=', `:${port}`], { encoding: 'utf8' });
  return Number(line.trim().split(/\s+/)[2] ?? 0);
}

socket.write(Buffer.alloc(2 ** 20, 7), async () => {
  while (unacknowledged() > 0) await delay(20);
  socket.resetAndDestroy();
});
