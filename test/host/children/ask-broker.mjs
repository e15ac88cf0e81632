// @ts-check
// `node ask-broker.mjs SOCKET`: asks for queue 1 of the loopback interface and prints the refusal.
import { bindByBroker } from '../../../dist/nic/broker/client.js';
import { native } from '../../../dist/native.js';

const [socket] = process.argv.slice(2);
const file = native().memfdCreate('devmem-tcp', 2 ** 20, 0);
if (typeof file === 'number') throw new Error(`memfd_create: ${file}`);
const request = { interface: 'lo', queues: [1], size: 2 ** 20, rxPageSize: undefined };
try {
  await bindByBroker(String(socket), request, file.fd, undefined);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
}
