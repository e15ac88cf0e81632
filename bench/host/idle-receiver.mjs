// @ts-check
// Holds connections on which nothing happens, of one kind, and prints what they take as
// JSON: bytes of resident memory before and after, CPU seconds while nothing happened.
//
//   node --expose-gc bench/host/idle-receiver.mjs KIND HOST PORT CONNECTIONS SECONDS
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { bindRx, connect, DmaBuf } from 'devmem-tcp';

const [kind = '', host = '', port, connections, seconds] = process.argv.slice(2);
const target = { host, port: Number(port) };

const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 24 });
const binding = await bindRx({ memory, mode: 'copy' });

/** @type {Record<string, () => Promise<unknown>>} */
const KINDS = {
  // Both wait for data, as a server's connections do.
  async devmem() {
    const socket = await connect({ ...target, binding });
    void socket.batches().next();
    return socket;
  },
  async netSocket() {
    const socket = net.connect(target);
    await once(socket, 'connect');
    socket.on('data', () => {});
    return socket;
  },
};
const open = KINDS[kind];
if (open === undefined) throw new Error(`no kind '${kind}'`);

async function resident() {
  // Freed pages go back to the system a little later.
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await sleep(50);
  }
  return process.memoryUsage.rss();
}

// What the first connections bring in is not theirs alone: code, tables, and a young
// generation that grows with how fast they come.
const sockets = [];
for (let i = 0; i < Number(connections); i++) sockets.push(await open());
const before = await resident();
for (let i = 0; i < Number(connections); i++) sockets.push(await open());
const after = await resident();
const cpu = process.cpuUsage();
await sleep(Number(seconds) * 1000);
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(
  `${JSON.stringify({ before, after, cpuSeconds: (user + system) / 1e6, sockets: sockets.length })}\n`,
);
process.exit();
