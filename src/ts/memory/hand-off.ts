/** Handing data on to another process, and knowing when that is done with it. */
import type net from 'node:net';

import { checkAbortSignal, throwIfAborted } from '../abort.js';
import { checkObject, invalidArgType } from '../errors.js';
import { inSendingTurn } from '../ipc/turns.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import { Acknowledgements } from './acknowledgements.js';
import { DmaBuf } from './dma-buf.js';
import { sentType } from './send-fd.js';
import { checkTensor, type Tensor, type TensorOptions } from './tensor.js';

/** Options of `handOff()`: which part of the memory, and what it is. */
export interface HandOffOptions extends TensorOptions {
  /**
   * Gives up waiting when aborted, and rejects with the signal's reason. The other process
   * may have the data all the same, and not be done with it.
   */
  signal?: AbortSignal;
}

/**
 * Hands part of a memory on, as a tensor, to the process at the other end of a Unix-domain
 * socket, which may be of any language and sees the memory itself: nothing is copied.
 * Resolves once that process has said that it is done.
 *
 * Until then neither close the memory nor write to the part (release its fragments, receive
 * into it): the other process reads there. That is the caller's to heed, after an
 * abort, too. `cuda` memory must not be closed before the other process has closed what it
 * opened: wait for the end of the connection.
 *
 * Several may be under way at a socket; they are sent in the order of the calls, and may
 * be acknowledged in any. Meanwhile the socket is read here: it must not have been
 * read by Node (see `receiveFd()`), and what comes must be acknowledgements.
 *
 * What goes over the wire is in docs/hand-off.md, with a consumer in Python.
 *
 * @param memory - `cuda` memory goes by CUDA's IPC, other memory by its descriptor
 * @throws TypeError, RangeError for arguments that make no sense
 * @throws DevmemError ERR_DEVMEM_CONSUMER_LOST where the other end is gone, or went without a
 *   word; ERR_DEVMEM_BAD_MESSAGE where it said something else, which ends all hand-offs of
 *   the socket; ERR_DEVMEM_SOCKET_STATE where the socket cannot carry descriptors, was read
 *   by Node, or is closed here; ERR_DEVMEM_CLOSED
 * @throws CudaError ERR_DEVMEM_CUDA for `cuda` memory that CUDA does not hand out
 */
export async function handOff(
  socket: net.Socket,
  memory: DmaBuf,
  options: HandOffOptions = {},
): Promise<void> {
  if (!(memory instanceof DmaBuf)) {
    throw invalidArgType('memory', 'a DmaBuf, as DmaBuf.allocate() makes it', memory);
  }
  checkObject('options', options);
  const { signal } = options;
  if (signal !== undefined) checkAbortSignal('options.signal', signal);
  throwIfAborted(signal);
  const tensor = checkTensor(options, memory.size);
  await inSendingTurn(socket, { signal }, async () => {
    const unix = UnixSocket.of(socket);
    unix.takeOver();
    // What a NIC wrote has to be visible on its device before anybody is told of it.
    memory.flush();
    const acknowledgements = Acknowledgements.of(unix);
    const { acknowledged } = await acknowledgements.announce(describe(memory, tensor), signal);
    // Not awaited here: others may send meanwhile.
    return { acknowledged };
  }).then(({ acknowledged }) => acknowledged);
}

/** What is said of a tensor, and the descriptor that goes with it. */
function describe(memory: DmaBuf, tensor: Tensor) {
  const { fd, size } = memory;
  if (memory.type !== 'cuda')
    return { content: { type: sentType(memory), size, ...tensor }, fds: [fd] };
  const { handle, device } = memory.ipcHandle();
  return { content: { type: 'cuda-ipc', size, ...tensor, handle, device }, fds: [] };
}
