// @ts-check
// `node broker-listeners.mjs SOCKET`: a broker all of whose listeners throw. Prints how many
// clients it has once they are gone, and 'closed' where close() ends.
import { once } from 'node:events';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { startBroker } from 'devmem-tcp';

const CLIENTS = 3;
const NO_REQUEST = Buffer.from('\0\0\0\x01x');

const socket = String(process.argv[2]);
/** @type {string[]} */
const thrown = [];
process.on('uncaughtException', ({ message }) => thrown.push(message));

const options = { allow: [{ interface: 'lo' }], maxClients: CLIENTS, maxClientsPerUser: CLIENTS };
const broker = await startBroker({ socket, ...options });
for (const event of /** @type {const} */ (['bound', 'unbound', 'refused', 'close'])) {
  broker.on(event, () => {
    throw new Error(event);
  });
}

async function ask() {
  const client = net.connect(socket).resume();
  client.on('error', () => {});
  const closed = once(client, 'close');
  client.write(NO_REQUEST);
  await closed;
}

// More than there is room for at a time: each has left before the next one comes.
for (let i = 0; i < 2 * CLIENTS; i++) await ask();
while (broker.clients > 0) await nextTurn();
console.log('clients', broker.clients);
await broker.close();
console.log('closed');
await nextTurn();
console.log(JSON.stringify(thrown));
