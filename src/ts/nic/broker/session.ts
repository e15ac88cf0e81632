/** A broker's dealings with one client: a request, an answer, and a binding until it leaves. */
import { readlinkSync } from 'node:fs';
import type net from 'node:net';

import { badMessage, type Content, encodeMessage, readMessage } from '../../ipc/message.js';
import type { UnixSocket } from '../../ipc/unix-socket.js';
import { exporterOf } from '../../memory/import.js';
import type { Credentials, OwnedFd } from '../../native.js';
import { type BindingRequest, bindQueues, type KernelBinding } from '../kernel-binding.js';
import { checkExporter } from '../memory-checks.js';
import { allowedRequest, checkPeer, type Policy } from './policy.js';
import { decodeRequest, encodeAnswer, encodeError, MAX_BYTES } from './protocol.js';

/** A client that has its binding. */
export interface BrokerClient {
  /** Who it is, as the kernel tells (SO_PEERCRED). */
  readonly peer: Credentials;
  /** The interface that it asked for. */
  readonly interface: string;
  /** The receive queues that it has. */
  readonly queues: readonly number[];
  /** The kernel's id of the binding. */
  readonly bindingId: number;
}

export interface SessionOptions {
  policy: Policy;
  /** For the request to be complete, in milliseconds. */
  requestTimeoutMs: number;
  onBound(client: BrokerClient): void;
  onUnbound(client: BrokerClient): void;
}

// How long a client may take to fetch what it is told at the end.
const FAREWELL_MS = 5000;

/**
 * Serves a client until it leaves.
 *
 * @param sent - gets all descriptors that it sends, to be closed by the caller
 * @param end - ends the session
 * @throws Error that tells why it was refused
 */
export async function serve(
  unix: UnixSocket,
  peer: Credentials,
  sent: OwnedFd[],
  end: AbortController,
  options: SessionOptions,
): Promise<void> {
  checkPeer(options.policy, peer);
  const content = await readRequest(unix, sent, end, options.requestTimeoutMs);
  if (content === undefined) return;
  const { request, kernel } = await bind(content, sent[0], options.policy);
  const { id, interfaceIndex, ringBytes } = kernel;
  const { interface: name, queues } = request;
  const client: BrokerClient = { peer, interface: name, queues, bindingId: id };
  try {
    if (end.signal.aborted || unix.socket.destroyed) return;
    options.onBound(client);
    const answer = encodeAnswer({ id, interfaceIndex, ringBytes, namespace: ownNamespace() });
    unix.socket.write(encodeMessage(answer));
    await untilItLeaves(unix, sent, end.signal);
  } finally {
    await kernel.unbind().finally(() => {
      options.onUnbound(client);
    });
  }
}

/**
 * Closes the connection, once the client was told what went wrong, if anything did.
 *
 * @returns resolves when it is closed
 */
export async function bidFarewell(connection: net.Socket, error: unknown): Promise<void> {
  if (connection.closed) return;
  // Whatever its error by then: events.once() would reject with it.
  const closed = new Promise((resolve) => connection.once('close', resolve));
  const impatience = setTimeout(() => connection.destroy(), FAREWELL_MS);
  if (error === undefined) connection.destroy();
  else connection.end(encodeMessage(encodeError(error)), () => connection.destroy());
  await closed;
  clearTimeout(impatience);
}

async function readRequest(
  unix: UnixSocket,
  sent: OwnedFd[],
  end: AbortController,
  timeoutMs: number,
): Promise<Content | undefined> {
  const timeout = setTimeout(() => {
    end.abort(badMessage(`was not complete after ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    const limits = { maxBytes: MAX_BYTES, maxFds: 1 };
    return await readMessage(unix, sent, { ...limits, signal: end.signal });
  } finally {
    clearTimeout(timeout);
  }
}

async function bind(
  content: Content,
  fd: OwnedFd | undefined,
  policy: Policy,
): Promise<{ request: BindingRequest; kernel: KernelBinding }> {
  const request = await allowedRequest(policy, decodeRequest(content));
  if (fd === undefined) {
    throw badMessage("has no descriptor: send the dma-buf's in the same sendmsg(), by SCM_RIGHTS");
  }
  // Not by what the client says of it: the wrong kind crashes the kernel.
  await checkExporter(request.interface, await exporterOf(fd.fd));
  return { request, kernel: await bindQueues(request, fd.fd) };
}

// Its end of the connection is closed, or it says something, to which it has no right.
async function untilItLeaves(
  unix: UnixSocket,
  sent: OwnedFd[],
  signal: AbortSignal,
): Promise<void> {
  try {
    const { fds } = await unix.read(Buffer.alloc(1), { signal });
    sent.push(...fds);
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
