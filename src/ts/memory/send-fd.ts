/** Handing memory to another process, over a Unix-domain socket. */
import type net from 'node:net';

import { DevmemError, invalidArgType } from '../errors.js';
import { badMessage, type Content, readMessage, show, writeMessage } from '../ipc/message.js';
import { closeStrangers } from '../ipc/strangers.js';
import { inReceivingTurn, inSendingTurn } from '../ipc/turns.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import type { OwnedFd } from '../native.js';
import { DmaBuf } from './dma-buf.js';

/** What a descriptor that is sent is of. */
export type SentType = 'dma-buf' | 'memfd';

const TYPES: readonly unknown[] = ['dma-buf', 'memfd'] satisfies SentType[];
const MAX_BYTES = 4096;

/** Options of `sendFd()` and `receiveFd()`. */
export interface PassFdOptions {
  /**
   * Gives up waiting when aborted, and rejects with the signal's reason. Of a message that
   * came in part, the rest is then what the socket has next.
   */
  signal?: AbortSignal;
}

/**
 * Hands memory to the process at the other end of a Unix-domain socket. Both then have
 * it; this end's stays the caller's.
 *
 * The message is a 4-byte length in network byte order and that many bytes of JSON,
 * `{"type":"dma-buf","size":BYTES}` (`"memfd"` for memory of type `host`), with the
 * descriptor as SCM_RIGHTS, in one sendmsg: `socket.recv_fds(connection, 4096, 1)` in
 * Python gets it, and `mmap.mmap(fds[0], BYTES)` maps it.
 *
 * @param socket - connected; what was written to it before goes first
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE where it cannot carry descriptors,
 *   ERR_DEVMEM_CLOSED
 * @throws SystemError EPIPE, ECONNRESET where the other end is gone
 */
export function sendFd(
  socket: net.Socket,
  memory: DmaBuf,
  options: PassFdOptions = {},
): Promise<void> {
  return inSendingTurn(socket, options, async () => {
    if (!(memory instanceof DmaBuf)) {
      throw invalidArgType('memory', 'a DmaBuf, as DmaBuf.allocate() makes it', memory);
    }
    const { fd, size } = memory;
    await writeMessage(UnixSocket.of(socket), { type: sentType(memory), size }, [fd], options);
  });
}

/** What a memory's descriptor is of. */
export function sentType(memory: DmaBuf): SentType {
  return memory.isDmaBuf ? 'dma-buf' : 'memfd';
}

/**
 * Takes memory from the process at the other end of a Unix-domain socket, which sends
 * it as `sendFd()` does.
 *
 * Node must not have begun to read the socket, or it drops the descriptor: create the
 * server with `{ pauseOnConnect: true }`; `pause()` a client before it connects.
 * Exactly the message is read; what follows can be read as a stream.
 *
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE where the socket cannot carry
 *   descriptors, was read by Node, ended or was closed; ERR_DEVMEM_BAD_MESSAGE for a
 *   message that is malformed, longer than 4096 bytes, or has no descriptor or several
 */
export function receiveFd(socket: net.Socket, options: PassFdOptions = {}): Promise<DmaBuf> {
  return inReceivingTurn(socket, options, async () => {
    const unix = UnixSocket.of(socket);
    unix.takeOver();
    const fds: OwnedFd[] = [];
    try {
      const limits = { maxBytes: MAX_BYTES, maxFds: 1 };
      const content = await readMessage(unix, fds, { ...options, ...limits });
      if (content === undefined) {
        throw new DevmemError(
          'ERR_DEVMEM_SOCKET_STATE',
          'The socket ended, and no memory came: the other end closed it',
        );
      }
      return await importMemory(content, fds[0]);
    } finally {
      unix.giveBack();
      void closeStrangers(fds);
    }
  });
}

async function importMemory(content: Content, fd: OwnedFd | undefined): Promise<DmaBuf> {
  const { type, size } = content;
  if (!TYPES.includes(type)) {
    throw badMessage(`is of type ${show(type)}, and "dma-buf" and "memfd" bring memory`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size <= 0) {
    throw badMessage(`has the size ${show(size)}, which is no number of bytes`);
  }
  if (fd === undefined) {
    throw badMessage('has no descriptor: send it in the same sendmsg() call, by SCM_RIGHTS');
  }
  const memory = await DmaBuf.import({ fd: fd.fd, size }).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw badMessage(`brings no ${type as SentType} of ${size} bytes: ${why}`, error);
  });
  const brought = sentType(memory);
  if (brought === type) return memory;
  await memory.close();
  throw badMessage(`is of type "${type as SentType}", and brings a ${brought}`);
}
