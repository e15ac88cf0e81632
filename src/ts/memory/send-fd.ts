/** Handing memory to another process, over a Unix-domain socket. */
import net from 'node:net';

import { checkAbortSignal, unlessAborted } from '../abort.js';
import { DevmemError, invalidArgType } from '../errors.js';
import { badMessage, type Content, readMessage, show, writeMessage } from '../ipc/message.js';
import { closeStrangers } from '../ipc/strangers.js';
import { UnixSocket } from '../ipc/unix-socket.js';
import type { OwnedFd } from '../native.js';
import { DmaBuf } from './dma-buf.js';

const TYPE = 'dma-buf';
const MAX_BYTES = 4096;

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
 * `{"type":"dma-buf","size":BYTES}`, with the dma-buf's descriptor as SCM_RIGHTS, in
 * one sendmsg: `socket.recv_fds(connection, 4096, 1)` in Python gets it.
 *
 * @param socket - connected; what was written to it before goes first
 * @throws DevmemError ERR_DEVMEM_SOCKET_STATE where it cannot carry descriptors,
 *   ERR_DEVMEM_WRONG_MEMORY for memory of type `host`, ERR_DEVMEM_CLOSED
 * @throws SystemError EPIPE, ECONNRESET where the other end is gone
 */
export function sendFd(
  socket: net.Socket,
  memory: DmaBuf,
  options: PassFdOptions = {},
): Promise<void> {
  return inTurn(sending, socket, options, async () => {
    if (!(memory instanceof DmaBuf)) {
      throw invalidArgType('memory', 'a DmaBuf, as DmaBuf.allocate() makes it', memory);
    }
    const { fd, size } = memory;
    if (!memory.isDmaBuf) {
      throw new DevmemError(
        'ERR_DEVMEM_WRONG_MEMORY',
        `memory is of type '${memory.type}', which is no dma-buf. Allocate { type: 'udmabuf' }`,
      );
    }
    await writeMessage(UnixSocket.of(socket), { type: TYPE, size }, [fd], options);
  });
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
  return inTurn(receiving, socket, options, async () => {
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
  if (type !== TYPE) throw badMessage(`is of type ${show(type)}, not "${TYPE}"`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size <= 0) {
    throw badMessage(`has the size ${show(size)}, which is no number of bytes`);
  }
  if (fd === undefined) {
    throw badMessage('has no descriptor: send it in the same sendmsg() call, by SCM_RIGHTS');
  }
  return await DmaBuf.import({ fd: fd.fd, size }).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw badMessage(`brings no dma-buf of ${size} bytes: ${why}`, error);
  });
}

// Messages of one socket go and come one after the other.
const sending = new WeakMap<object, Promise<unknown>>();
const receiving = new WeakMap<object, Promise<unknown>>();

async function inTurn<T>(
  turns: WeakMap<object, Promise<unknown>>,
  socket: net.Socket,
  { signal }: PassFdOptions,
  task: () => Promise<T>,
): Promise<T> {
  if (signal !== undefined) checkAbortSignal('options.signal', signal);
  if (!(socket instanceof net.Socket)) return task();
  const before = turns.get(socket) ?? Promise.resolve();
  const mine = unlessAborted(signal, before).then(task);
  // Whoever gives up lets nobody overtake the others.
  turns.set(socket, Promise.allSettled([before, mine]));
  return mine;
}
