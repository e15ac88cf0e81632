import { once } from 'node:events';

import { createServer, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { closing, connectPlain, LOOPBACK, openPair, type Pair } from '../support/peers.js';
import { pattern, readText, send, take, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;
const DONE = { done: true, value: undefined };

// What may be going on when close() comes.
const moments: Record<string, (pair: Pair) => Promise<void>> = {
  'before anything happened': async () => {},
  'with data that nobody read': async ({ peer }) => {
    await send(peer, 100_000);
  },
  'with batches ready': async ({ peer, socket }) => {
    const [first] = await Promise.all([take(socket.batches()), send(peer, 1000)]);
    first.release();
    await send(peer, 1000);
    await expect.poll(() => socket.stats.heldFragments, { interval: 1 }).toBeGreaterThan(0);
  },
  'while next() waits': async ({ socket }) => {
    void socket.batches().next();
  },
  'in a flood': async ({ peer, socket }) => {
    void send(peer, 32 * MiB).catch(() => {});
    for await (using batch of socket.batches()) {
      if (batch.length > 0 && socket.stats.batches > 2) return;
    }
  },
  'after the peer ended': async ({ peer, socket }) => {
    peer.end('bye');
    await readText(socket);
  },
  'after the peer is gone': async ({ peer, socket }) => {
    const gone = once(socket, 'close');
    peer.resetAndDestroy();
    await readText(socket).catch(() => {});
    await gone;
  },
};

describeOverTransports('close()', (transport) => {
  expectNoLeaks();

  it.for(Object.entries(moments))('%s closes, twice as once', async ([, prepare]) => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    await prepare(pair);
    let events = 0;
    pair.socket.on('close', () => events++);
    await Promise.all([pair.socket.close(), pair.socket.close()]);
    await pair.socket.close();
    expect(pair.socket.closed).toBe(true);
    expect(events).toBeLessThanOrEqual(1);
    expect(pair.socket.stats.heldFragments).toBe(0);
    expect(bound.binding.heldBytes).toBe(0);
    expect(await readText(pair.socket)).toBe('');
  });

  it('ends the next() calls that wait, all of them', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const fragments = pair.socket[Symbol.asyncIterator]();
    const batches = pair.socket.batches();
    const waiting = [fragments.next(), fragments.next(), batches.next(), batches.next()];
    await pair.socket.close();
    expect(await Promise.all(waiting)).toEqual([DONE, DONE, DONE, DONE]);
  });

  it('sends what was written before', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const verifier = new Verifier();
    pair.peer.on('data', (piece) => verifier.look(piece));
    const ended = once(pair.peer, 'end');
    pair.socket.writable.write(pattern.slice(0, MiB));
    pair.socket.writable.write(pattern.slice(MiB, MiB));
    await pair.socket.close();
    await ended;
    expect(verifier.bytes).toBe(2 * MiB);
  });

  it('leaves no writable side behind', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const { writable } = pair.socket;
    await pair.socket.close();
    expect(writable.destroyed).toBe(true);
  });

  it('of a destroyed socket waits for the end of it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const gone = closing(pair.peer);
    pair.socket.destroy();
    await pair.socket.close();
    pair.peer.destroy();
    await gone;
    expect(pair.socket.closed).toBe(true);
    expect(pair.socket.error).toBeUndefined();
  });
});

describeOverTransports('close() of a server', (transport) => {
  expectNoLeaks();

  it('closes its connections and resolves once all is gone, twice as once', async () => {
    await using bound = await bind(transport);
    const server = createServer({ binding: bound.binding }, async (socket) => {
      await readText(socket);
    });
    const { port } = await server.listen({ host: LOOPBACK });
    const connected = once(server, 'connection') as Promise<[DevmemSocket]>;
    const client = await connectPlain(port);
    client.resume();
    const [socket] = await connected;
    expect([...server.connections]).toEqual([socket]);
    await server.close();
    await server.close();
    expect(server.listening).toBe(false);
    expect(server.connections.size).toBe(0);
    expect(socket.closed).toBe(true);
    await closing(client);
  });

  it('a second time waits with the first', async () => {
    await using bound = await bind(transport);
    const server = createServer({ binding: bound.binding });
    await server.listen({ host: LOOPBACK });
    let gone = false;
    server.once('close', () => (gone = true));
    const first = server.close();
    await server.close();
    expect(gone).toBe(true);
    await first;
  });

  it("has 'close' come once its last connection is gone, and before it resolves", async () => {
    await using bound = await bind(transport);
    const server = createServer({ binding: bound.binding });
    const events: string[] = [];
    server.on('connection', (socket: DevmemSocket) => {
      socket.on('close', () => events.push('socket'));
    });
    server.on('close', () => events.push(`server with ${server.connections.size}`));
    const { port } = await server.listen({ host: LOOPBACK });
    for (let i = 0; i < 2; i++) {
      const connected = once(server, 'connection');
      (await connectPlain(port)).resume();
      await connected;
    }
    await server.close();
    expect(events).toEqual(['socket', 'socket', 'server with 0']);
  });

  it('before it listened does nothing', async () => {
    await using bound = await bind(transport);
    await createServer({ binding: bound.binding }).close();
  });

  it('also ends a server that was closed before it listened', async () => {
    await using bound = await bind(transport);
    const server = createServer({ binding: bound.binding });
    await server.close();
    // Whether it refuses to listen or can be closed again.
    await server.listen({ host: LOOPBACK }).catch(() => {});
    await server.close();
    expect(server.listening).toBe(false);
  });

  it('ends a server that is about to listen', async () => {
    await using bound = await bind(transport);
    const server = createServer({ binding: bound.binding });
    // A name takes a while to look up.
    const listening = server.listen({ host: 'localhost' }).catch(() => {});
    await server.close();
    await listening;
    expect(server.listening).toBe(false);
    await server.close();
  });
});
