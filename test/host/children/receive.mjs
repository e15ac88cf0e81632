// @ts-check
// What a thread does when it is torn down: `receive(port, state, tell)`.
import { bindRx, connect, DmaBuf } from 'devmem-tcp';

/**
 * Receives from the port and calls `tell` once in the given state, in which it then
 * stays: 'waiting' for data that does not come, 'flooded' with it,
 * 'holding' leases while more comes, 'stalled' for having given nothing back,
 * 'writing' what the peer does not read.
 *
 * @param {number} port
 * @param {string} state
 * @param {() => void} tell
 */
export async function receive(port, state, tell) {
  const memory = await DmaBuf.allocate({ type: 'host', size: 2 ** 23 });
  const binding = await bindRx({ memory, mode: 'copy' });
  const socket = await connect({ binding, host: '127.0.0.1', port });
  if (state === 'waiting') {
    // The peer sends nothing before it is asked to.
    void socket.batches().next();
    tell();
    return;
  }
  if (state === 'writing') socket.writable.write(Buffer.alloc(2 ** 26));
  socket.writable.write('go');
  const held = [];
  let batches = 0;
  for await (const batch of socket.batches()) {
    const [first, ...others] = batch;
    if (state === 'holding' && batches < 3) {
      held.push(first);
      for (const fragment of others) fragment.release();
    } else if (state !== 'stalled') {
      batch.release();
    }
    batches++;
    // A floor is kept for the next socket.
    const full = binding.heldBytes >= binding.heldLimit - 2 ** 16;
    if (state === 'stalled' ? full : batches === 5) tell();
  }
}
