/** Having a broker bind in place of this process. */
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import net from 'node:net';

import { throwIfAborted, unlessAborted } from '../../abort.js';
import { DevmemError, isSystemError, systemError } from '../../errors.js';
import { readMessage, writeMessage } from '../../ipc/message.js';
import { closeStrangers } from '../../ipc/strangers.js';
import { UnixSocket } from '../../ipc/unix-socket.js';
import type { OwnedFd } from '../../native.js';
import type { BindingRequest, KernelBinding } from '../kernel-binding.js';
import { fillsMemoryOf, letGo } from '../unbinding.js';
import { type BoundAnswer, decodeAnswer, encodeRequest, MAX_BYTES } from './protocol.js';

// How long closing waits for the broker to confirm it.
const CLOSE_MS = 5000;

/**
 * Asks the broker at a path. The binding ends with its connection.
 *
 * @param fd - the dma-buf's; not needed after the call
 * @throws what a refused binding throws, as if the kernel had been asked from here
 */
export async function bindByBroker(
  path: string,
  request: BindingRequest,
  fd: number,
  signal: AbortSignal | undefined,
): Promise<KernelBinding> {
  const connection = await connectTo(path, signal);
  try {
    const unix = UnixSocket.of(connection);
    unix.takeOver();
    const answer = await ask(unix, path, request, fd, signal);
    await checkNamespace(answer);
    return new BrokerBinding(unix, path, request, answer);
  } catch (error) {
    connection.destroy();
    throw error;
  }
}

async function connectTo(path: string, signal: AbortSignal | undefined): Promise<net.Socket> {
  const connection = new net.Socket();
  connection.pause();
  // Whoever reads or writes the connection gets its errors by the system call.
  connection.on('error', () => {});
  try {
    const connected = once(connection, 'connect');
    connection.connect({ path });
    await unlessAborted(signal, connected);
    return connection;
  } catch (error) {
    connection.destroy();
    throwIfAborted(signal);
    if (!isSystemError(error)) throw error;
    throw systemError(error.errno, 'connect', {
      subject: `the broker at ${path}`,
      hint: connectHint(error.code, path),
    });
  }
}

function connectHint(code: string, path: string): string | undefined {
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `Nobody listens there: start it with 'devmem-tcp broker --socket ${path} --allow IF:QUEUES', with CAP_NET_ADMIN`;
    case 'EACCES':
      return `Its socket's mode and group decide who may connect: see 'ls -l ${path}', and the broker's options --mode and --group`;
    case 'EAGAIN':
      return 'Too many clients wait for it: try again later';
    default:
      return undefined;
  }
}

async function ask(
  unix: UnixSocket,
  path: string,
  request: BindingRequest,
  fd: number,
  signal: AbortSignal | undefined,
): Promise<BoundAnswer> {
  const options = { signal, maxBytes: MAX_BYTES, maxFds: 0 };
  const sent: OwnedFd[] = [];
  try {
    // A refusal may be there before the request is written.
    const answer = readMessage(unix, sent, options);
    answer.catch(() => {});
    await writeMessage(unix, encodeRequest(request), [fd], options).catch(() => {});
    const content = await answer;
    if (content !== undefined) return decodeAnswer(content);
  } catch (error) {
    if (!isSystemError(error) || error.syscall !== 'recvmsg') throw error;
    throw lost(path, 'before it answered', error);
  } finally {
    void closeStrangers(sent);
  }
  throw lost(path, 'before it answered', undefined);
}

// A binding is of use to sockets of its interface's network namespace only.
async function checkNamespace({ namespace }: BoundAnswer): Promise<void> {
  const own = await readlink('/proc/self/ns/net').catch(() => undefined);
  if (own === undefined || namespace === undefined || own === namespace) return;
  throw new DevmemError(
    'ERR_DEVMEM_BROKER_REFUSED',
    `The broker is in another network namespace (${namespace}) than this process (${own}), whose sockets its bindings could not serve. Run it where the interface and this process are`,
  );
}

function lost(path: string, when: string, cause: unknown): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_BROKER_LOST',
    `The broker at ${path} ended the connection ${when}. Is it running? Start it and bind again`,
    { cause },
  );
}

/** A binding that a broker holds for as long as the connection to it lasts. */
class BrokerBinding implements KernelBinding {
  readonly id: number;
  readonly interfaceIndex: number;
  readonly ringBytes: number;
  readonly #unix: UnixSocket;
  readonly #request: BindingRequest;
  readonly #ended: Promise<void>;
  #reason: Error | undefined;
  #onLost: ((reason: Error) => void) | undefined;
  #closing = false;

  constructor(unix: UnixSocket, path: string, request: BindingRequest, answer: BoundAnswer) {
    this.id = answer.id;
    this.interfaceIndex = answer.interfaceIndex;
    this.ringBytes = answer.ringBytes;
    this.#unix = unix;
    this.#request = request;
    // As a binding of this process's own, it does not keep the process alive.
    unix.socket.unref();
    this.#ended = this.#watch(path);
  }

  onLost(callback: (reason: Error) => void): void {
    this.#onLost = callback;
    if (this.#reason !== undefined) callback(this.#reason);
  }

  /** Ends the connection, and waits until the broker has done its part. */
  async unbind(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      this.#unix.socket.end();
      const impatience = setTimeout(() => this.#unix.socket.destroy(), CLOSE_MS);
      await this.#ended;
      clearTimeout(impatience);
    }
    const { interfaceIndex, ringBytes } = this;
    await letGo({ ...this.#request, interfaceIndex, ringBytes }, fillsMemoryOf(this.id));
  }

  // The broker says nothing after its answer: what is to be read is the end.
  async #watch(path: string): Promise<void> {
    let cause: unknown;
    try {
      const { fds } = await this.#unix.read(Buffer.alloc(1), { ref: false });
      void closeStrangers(fds);
    } catch (error) {
      cause = error;
    }
    this.#unix.socket.destroy();
    if (this.#closing) return;
    this.#closing = true;
    this.#reason = lost(path, 'and the binding is gone with it', cause);
    this.#onLost?.(this.#reason);
  }
}
