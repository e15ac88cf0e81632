/** What a TypeScript consumer writes; it has to compile. */
import {
  Batch,
  bindRx,
  connect,
  createServer,
  DevmemSocket,
  DmaBuf,
  isSupported,
  type Fragment,
} from 'devmem-tcp';

export function area(frag: Fragment): number {
  // `kind` tells the compiler what else there is.
  return frag.kind === 'device' ? frag.offset + frag.memory.size : frag.bytes.byteLength;
}

/** Classes are values, for `instanceof`. */
export function bytesOf(received: Batch | DevmemSocket | DmaBuf): number {
  if (received instanceof Batch) return received.byteLength;
  return received instanceof DevmemSocket ? received.stats.deviceBytes : received.size;
}

export async function serve(signal: AbortSignal): Promise<void> {
  if (!isSupported()) return;
  await using memory = await DmaBuf.allocate({ type: 'auto', size: 2 ** 20 });
  await using binding = await bindRx({ interface: 'eth1', queues: [1], memory, mode: 'auto' });
  await using server = createServer({ binding, signal }, async (socket) => {
    for await (using frag of socket) area(frag);
  });
  const { port } = await server.listen(0, 'localhost');
  // Where Node's types have these moved from one version to another.
  await using socket = await connect({ binding, port, noDelay: true, keepAlive: true });
  socket.writable.end('hello');
}
