/** Connections of `send` and `recv` that begin together. */
import { once } from 'node:events';
import net from 'node:net';

import { describe, expect, it, onTestFinished } from 'vitest';

import { Stopper } from '../../dist/cli/transfer/stopping.js';
import { connectTogether } from '../../dist/cli/transfer/together.js';
import { rejectionOf } from '../support/thrown.js';

async function connected(port: number, signal: AbortSignal): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** A server's port, and what becomes of the first connection to it. */
async function listen(): Promise<{ port: number; first: Promise<net.Socket> }> {
  const server = net.createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const first = once(server, 'connection').then(([socket]) => (socket as net.Socket).resume());
  return { port: (server.address() as net.AddressInfo).port, first };
}

const REFUSED = new Error('connect ECONNREFUSED');

describe('of connections that begin together', () => {
  it('one that is refused later closes those that were made', async () => {
    const { port, first } = await listen();
    using stopper = new Stopper();
    let count = 0;
    const connecting = connectTogether(2, stopper, async (signal) => {
      if (count++ === 0) return connected(port, signal);
      await first;
      throw REFUSED;
    });
    expect(await rejectionOf(connecting)).toBe(REFUSED);
    const socket = await first;
    if (!socket.closed) await once(socket, 'close');
  });

  it('one that is refused has the others give up', async () => {
    using stopper = new Stopper();
    let count = 0;
    const connecting = connectTogether(2, stopper, async (signal) => {
      if (count++ === 1) throw REFUSED;
      await once(signal, 'abort');
      throw signal.reason;
    });
    expect(await rejectionOf(connecting)).toBe(REFUSED);
  });

  it('there are none where they are interrupted', async () => {
    const { port, first } = await listen();
    using stopper = new Stopper();
    let count = 0;
    const connecting = connectTogether(2, stopper, async (signal) => {
      if (count++ === 0) return connected(port, signal);
      await first;
      stopper.stop('interrupted');
      throw signal.reason;
    });
    expect(await connecting).toEqual([]);
    const socket = await first;
    if (!socket.closed) await once(socket, 'close');
  });
});
