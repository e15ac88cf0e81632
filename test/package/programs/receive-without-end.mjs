// @ts-check
/** Receives for as long as it is let. */
import { bindRx, connect, DmaBuf } from 'devmem-tcp';

const MEMORY = 16 * 2 ** 20;

/**
 * @param {number} port
 * @param {() => void} onFlowing called when the memory was filled once over, amid a
 *   batch, with an earlier one still held
 */
export async function receiveWithoutEnd(port, onFlowing) {
  const memory = await DmaBuf.allocate({ type: 'host', size: MEMORY });
  const binding = await bindRx({ memory, mode: 'copy' });
  const socket = await connect({ binding, host: '127.0.0.1', port });
  let held;
  for await (const batch of socket.batches()) {
    if (held === undefined) held = batch;
    else if (socket.stats.copiedBytes > MEMORY) onFlowing();
    if (batch !== held) batch.release();
  }
}
