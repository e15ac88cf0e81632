// @ts-check
/**
 * Tries every public function that can be called without having a DmaBuf or a binding;
 * these give those that all others take.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

import * as devmem from 'devmem-tcp';

const path = `peer-${process.pid}.sock`;
const peer = createServer().listen(path);
await once(peer, 'listening');
const socket = connect(path);
await once(socket, 'connect');

/** @type {Record<string, () => unknown>} */
const CALLS = {
  'DmaBuf.allocate': () => devmem.DmaBuf.allocate({ size: 2 ** 20 }),
  'DmaBuf.import': () => devmem.DmaBuf.import({ fd: 0 }),
  probeMemory: () => devmem.probeMemory(),
  receiveFd: () => devmem.receiveFd(socket, { signal: AbortSignal.timeout(1000) }),
  planInterface: () => devmem.planInterface({ interface: 'none0', queues: [0] }),
  prepareInterface: () => devmem.prepareInterface({ interface: 'none0', queues: [0] }),
  startBroker: () =>
    devmem.startBroker({ socket: './broker.sock', allow: [{ interface: 'none0', queues: [0] }] }),
};

/** @type {Record<string, object | null>} */
const calls = {};
for (const [name, call] of Object.entries(CALLS)) {
  calls[name] = await Promise.resolve()
    .then(call)
    .then(
      () => null,
      (/** @type {unknown} */ error) => {
        const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
        return { code, message };
      },
    );
}

const [supported, reason] = [devmem.isSupported(), devmem.unsupportedReason()];
// A broker serves, and who waits for memory waits.
process.stdout.write(JSON.stringify({ supported, reason, calls }), () => process.exit());
