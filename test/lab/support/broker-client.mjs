// @ts-check
// `node broker-client.mjs SOCKET QUEUE`: receives the pattern through a broker and tells its
// parent what becomes of it. Takes the commands 'close' and 'bind' (without the broker).
import { readFileSync } from 'node:fs';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

import { Pattern } from '../../../dist/cli/transfer/pattern.js';

const [broker, queue] = process.argv.slice(2);
const options = /** @type {const} */ ({ interface: 'dms0', mode: 'devmem' });
const queues = [Number(queue)];

/** @param {object} what */
const tell = (what) => process.send?.(what);

/** @param {unknown} error */
const tellError = (error) => {
  const { code, message, syscall, errno, kernelMessage, hint } =
    /** @type {import('devmem-tcp').SystemError} */ (error);
  tell({ error: { code, message, syscall, errno, kernelMessage, hint } });
};

const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });

/** @type {import('devmem-tcp').Binding | undefined} */
const binding = await bindRx({ ...options, queues, memory, broker: String(broker) }).catch(
  /** @param {unknown} error */ (error) => {
    tellError(error);
    return undefined;
  },
);

/** @param {import('devmem-tcp').DevmemSocket} socket */
async function receive(socket) {
  const pattern = new Pattern(1);
  let bytes = 0;
  let firstWrong = -1;
  /** @param {Uint8Array} piece */
  const look = (piece) => {
    const at = pattern.mismatch(bytes, piece);
    if (at !== -1 && firstWrong === -1) firstWrong = bytes + at;
    bytes += piece.length;
  };
  for await (const batch of socket.batches()) {
    batch.forEach((offset, size) => look(memory.read(offset, size)), look);
    batch.release();
  }
  tell({ received: { bytes, firstWrong, stats: socket.stats } });
}

if (binding !== undefined) {
  binding.on('lost', (error) => tell({ lost: error.message, closed: binding.closed }));
  const server = createServer({ binding }, receive);
  const { port } = await server.listen({ host: '192.0.2.1' });
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  tell({ port, id: binding.id, uid: process.getuid?.(), capabilities: capabilities?.[1] });
}

process.on('message', async (command) => {
  if (command === 'close') {
    await binding?.close();
    tell({ closed: true });
  } else {
    const more = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
    await bindRx({ ...options, queues, memory: more }).catch(tellError);
  }
});
