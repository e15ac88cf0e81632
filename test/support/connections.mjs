// @ts-check
/** Connections over loopback, for programs that give their descriptors to native code. */
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';

import { descriptorOf, stopReading } from '../../dist/ipc/handle.js';

/** A connection, and the other end of it. */
export async function makeConnection() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const connection = net.connect({ host: '127.0.0.1', port });
  const [peer] = /** @type {[net.Socket]} */ (await once(server, 'connection'));
  server.close();
  stopReading(connection, 'TCP');
  return { connection, peer, fd: descriptorOf(connection, 'TCP') ?? -1 };
}

/** So many turns of the loop. */
export async function turns(count = 20) {
  for (let i = 0; i < count; i++) await turn();
}
