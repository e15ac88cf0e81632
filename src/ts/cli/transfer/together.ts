/** Connections that begin together: all of them, or none. */
import { once, setMaxListeners } from 'node:events';
import net from 'node:net';

import { addressText, type Endpoint } from '../values.js';
import type { Stopper } from './stopping.js';

/**
 * Makes so many connections. Where one fails, the others are given up.
 *
 * @param connect - makes one, and gives up when the signal is aborted
 * @returns none where the transfer was interrupted meanwhile
 * @throws what the first one failed with, or that the transfer's time was over
 */
export async function connectTogether<T extends { destroy(): unknown }>(
  count: number,
  stopper: Stopper,
  connect: (signal: AbortSignal) => Promise<T>,
): Promise<T[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stopper.signal, failed.signal]);
  // As many as there are connections.
  setMaxListeners(0, signal);
  const attempts = Array.from({ length: count }, () => connect(signal));
  try {
    return await Promise.all(attempts);
  } catch (error) {
    failed.abort();
    for (const attempt of await Promise.allSettled(attempts)) {
      if (attempt.status === 'fulfilled') attempt.value.destroy();
    }
    return givenUp(stopper, error);
  }
}

export interface AcceptOptions {
  at: Endpoint;
  count: number;
  stopper: Stopper;
  onListening: ((address: string, port: number) => void) | undefined;
  /** A peer went before all had come. */
  onLeft: (remote: string, error: Error | null) => void;
}

/**
 * Accepts so many connections; others take the place of peers that go while they wait.
 *
 * @returns none where the transfer was interrupted meanwhile
 * @throws what listening failed with, or that the transfer's time was over
 */
export async function acceptTogether(options: AcceptOptions): Promise<net.Socket[]> {
  const { at, count, stopper, onListening, onLeft } = options;
  const server = net.createServer({ allowHalfOpen: true });
  const waiting = new Map<net.Socket, () => void>();
  const wait = (socket: net.Socket): void => {
    const remote = remoteText(socket);
    const left = (): void => {
      waiting.delete(socket);
      onLeft(remote, socket.errored);
    };
    waiting.set(socket, left);
    // 'close' follows, and the socket remembers it.
    socket.on('error', () => {}).once('close', left);
  };
  try {
    server.listen(at.port, at.host);
    await once(server, 'listening', { signal: stopper.signal });
    const address = server.address() as net.AddressInfo;
    onListening?.(address.address, address.port);
    while (waiting.size < count) {
      const event = once(server, 'connection', { signal: stopper.signal });
      wait(((await event) as [net.Socket])[0]);
    }
    for (const [socket, left] of waiting) socket.removeListener('close', left);
    return [...waiting.keys()];
  } catch (error) {
    for (const [socket, left] of waiting) socket.removeListener('close', left).destroy();
    return givenUp(stopper, error);
  } finally {
    server.close();
  }
}

function givenUp(stopper: Stopper, error: unknown): never[] {
  if (stopper.reason === 'seconds') throw new Error('--seconds passed before all had connected');
  if (stopper.reason === 'interrupted') return [];
  throw error;
}

/** The peer's address and port. */
export function remoteText(socket: {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}): string {
  return addressText(socket.remoteAddress ?? '?', socket.remotePort ?? 0);
}
