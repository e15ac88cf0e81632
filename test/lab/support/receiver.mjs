// @ts-check
// Receives one stream of the pattern on queue 1, and tells its parent how that went:
// `node receiver.mjs [HELD_LIMIT]`
import { once } from 'node:events';

import { bindRx, createServer, DmaBuf } from 'devmem-tcp';

import { Pattern } from '../../../dist/cli/transfer/pattern.js';

const transport = /** @type {'cmsg' | 'queue' | 'zcrx'} */ (process.env.DEVMEM_TRANSPORT ?? 'cmsg');
const heldLimit = Number(process.argv[2] ?? 2 ** 22);
const memory = await DmaBuf.allocate({ type: 'udmabuf', size: 16 * 2 ** 20 });
const options = { interface: 'dms0', queues: [1], memory, heldLimit, transport };
const binding = await bindRx({ ...options, mode: 'devmem' });
const view = memory.map();
const pattern = new Pattern(1);

const server = createServer({ binding }, async (socket) => {
  let bytes = 0;
  let firstWrong = -1;
  /** @param {Uint8Array} piece */
  const look = (piece) => {
    const at = pattern.mismatch(bytes, piece);
    if (at !== -1 && firstWrong === -1) firstWrong = bytes + at;
    bytes += piece.length;
  };
  /** @type {unknown} */
  let error = null;
  try {
    for await (const batch of socket.batches()) {
      memory.cpuAccess(() => {
        batch.forEach((offset, size) => {
          look(view.subarray(offset, offset + size));
        }, look);
      });
      batch.release();
    }
  } catch (reason) {
    const { code, errno, syscall, message } = /** @type {import('devmem-tcp').SystemError} */ (
      reason
    );
    error = { code, errno, syscall, message };
  }
  process.send?.({ bytes, firstWrong, error, stats: socket.stats, heldBytes: binding.heldBytes });
});
const { port } = await server.listen({ host: '192.0.2.1' });
process.send?.({ port });
await once(server, 'connection');
const [socket] = server.connections;
await once(/** @type {import('devmem-tcp').DevmemSocket} */ (socket), 'close');
await server.close();
await binding.close();
process.disconnect();
