// A script that gets hold of the memory that native code writes to, by the constructors
// that it had patched before. Prints what came of it as JSON.
//
//   tampered.mjs transfer|garbage|unshared
import { once } from 'node:events';
import net from 'node:net';

const way = process.argv[2];

/** @type {ArrayBufferLike[]} */
const seen = [];
const Original = globalThis.Float64Array;
globalThis.Float64Array = new Proxy(Original, {
  construct(target, args) {
    if (args[0] instanceof SharedArrayBuffer) seen.push(args[0]);
    const made = /** @type {unknown} */ (Reflect.construct(target, args));
    return /** @type {Float64Array} */ (made);
  },
});
// Memory that could be taken away again.
if (way === 'unshared') Object.assign(globalThis, { SharedArrayBuffer: ArrayBuffer });

/** @type {typeof import('devmem-tcp')} */
const product = await import('devmem-tcp');
const { bindRx, connect, DmaBuf } = product;

/** @returns {Promise<object>} */
async function run() {
  const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 20 });
  const binding = await bindRx({ memory, mode: 'copy' });
  const server = net.createServer((peer) => peer.end(Buffer.alloc(100_000, 7)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  const socket = await connect({ binding, host: '127.0.0.1', port });
  const kept = [];
  for await (const batch of socket.batches()) kept.push(batch);
  const transferred = seen.filter((buffer) => {
    try {
      structuredClone(buffer, { transfer: [/** @type {any} */ (buffer)] });
      return true;
    } catch {
      return false;
    }
  }).length;
  if (way === 'garbage') for (const buffer of seen) new Uint8Array(buffer).fill(0xff);
  const { length } = kept;
  for (const batch of kept) batch.release();
  const again = await connect({ binding, host: '127.0.0.1', port });
  let bytes = 0;
  for await (const batch of again.batches()) {
    batch.forEach((offset, size) => {
      if (memory.read(offset, size).every((byte) => byte === 7)) bytes += size;
    });
    batch.release();
  }
  server.close();
  // Native code's own count, which it tells anew at each change.
  return { buffers: seen.length, transferred, kept: length, held: binding.heldBytes, bytes };
}

const result = await run().catch((/** @type {unknown} */ error) => ({ refused: String(error) }));
process.stdout.write(JSON.stringify(result));
process.exit();
