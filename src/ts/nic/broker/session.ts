/** A broker's dealings with one client: a request, an answer, and a binding until it leaves. */
import { readlinkSync } from 'node:fs';
import type net from 'node:net';

import { badMessage, encodeMessage, type Message, readMessage } from '../../ipc/message.js';
import { UnixSocket } from '../../ipc/unix-socket.js';
import { exporterOf } from '../../memory/import.js';
import type { Credentials } from '../../native.js';
import { type BindingRequest, bindQueues, type KernelBinding } from '../kernel-binding.js';
import { checkExporter } from '../memory-checks.js';
import { allowedRequest, checkPeer, type Policy } from './policy.js';
import { decodeRequest, encodeAnswer, encodeError, MAX_BYTES } from './protocol.js';

/** A client that has its binding. */
export interface BrokerClient {
  readonly peer: Credentials;
  readonly interface: string;
  readonly queues: readonly number[];
  /** The kernel's id of the binding. */
  readonly bindingId: number;
}

export interface SessionOptions {
  policy: Policy;
  /** For the request to be complete, in milliseconds. */
  requestTimeoutMs: number;
  /** Ends the session. */
  signal: AbortSignal;
  onBound(client: BrokerClient): void;
  onUnbound(client: BrokerClient): void;
  onRefused(error: Error, peer: Credentials | undefined): void;
}

// How long a client may take to fetch what it is told at the end.
const FAREWELL_MS = 5000;

/** Serves a connection to its end. Never rejects: what goes wrong is the client's. */
export async function serve(connection: net.Socket, options: SessionOptions): Promise<void> {
  // Reading and writing tell it too.
  connection.on('error', () => {});
  let peer: Credentials | undefined;
  try {
    const unix = new UnixSocket(connection);
    unix.takeOver();
    peer = unix.peer;
    checkPeer(options.policy, peer);
    const request = await readRequest(unix, options);
    if (request !== undefined) await serveRequest(unix, peer, request, options);
    connection.destroy();
  } catch (error) {
    if (!options.signal.aborted) options.onRefused(error as Error, peer);
    bidFarewell(connection, error);
  }
}

/** Tells the client what went wrong, and closes. */
export function bidFarewell(connection: net.Socket, error: unknown): void {
  if (connection.destroyed) return;
  const impatience = setTimeout(() => connection.destroy(), FAREWELL_MS);
  connection.once('close', () => {
    clearTimeout(impatience);
  });
  connection.end(encodeMessage(encodeError(error)), () => connection.destroy());
}

async function readRequest(
  unix: UnixSocket,
  { requestTimeoutMs, signal }: SessionOptions,
): Promise<Message | undefined> {
  const timeout = AbortSignal.timeout(requestTimeoutMs);
  try {
    return await readMessage(unix, {
      maxBytes: MAX_BYTES,
      maxFds: 1,
      signal: AbortSignal.any([signal, timeout]),
    });
  } catch (error) {
    if (!timeout.aborted) throw error;
    throw badMessage(`was not complete after ${requestTimeoutMs} ms`);
  }
}

async function serveRequest(
  unix: UnixSocket,
  peer: Credentials,
  message: Message,
  options: SessionOptions,
): Promise<void> {
  const { request, kernel } = await bind(message, options.policy);
  const { id, interfaceIndex, ringBytes } = kernel;
  const { interface: name, queues } = request;
  const client: BrokerClient = { peer, interface: name, queues, bindingId: id };
  try {
    if (options.signal.aborted || unix.socket.destroyed) return;
    options.onBound(client);
    const answer = encodeAnswer({ id, interfaceIndex, ringBytes, namespace: ownNamespace() });
    unix.socket.write(encodeMessage(answer));
    await untilItLeaves(unix, options.signal);
  } finally {
    await kernel.unbind();
    options.onUnbound(client);
  }
}

async function bind(
  { content, fds }: Message,
  policy: Policy,
): Promise<{ request: BindingRequest; kernel: KernelBinding }> {
  const [fd] = fds;
  try {
    const request = await allowedRequest(policy, decodeRequest(content));
    if (fd === undefined) {
      throw badMessage(
        "has no descriptor: send the dma-buf's in the same sendmsg(), by SCM_RIGHTS",
      );
    }
    // Not by what the client says of it: the wrong kind crashes the kernel.
    await checkExporter(request.interface, await exporterOf(fd.fd));
    return { request, kernel: await bindQueues(request, fd.fd) };
  } finally {
    fd?.close();
  }
}

// Its end of the connection is closed, or it says something, to which it has no right.
async function untilItLeaves(unix: UnixSocket, signal: AbortSignal): Promise<void> {
  try {
    await unix.read(Buffer.alloc(1), 0, { signal });
  } catch {
    // Left by a reset, or the broker closes.
  }
}

function ownNamespace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/net');
  } catch {
    return undefined;
  }
}
