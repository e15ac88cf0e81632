import { once } from 'node:events';
import { setImmediate as immediate } from 'node:timers/promises';

import { connect, createServer } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { deferred } from '../support/deferred.js';
import { expectNoLeaks } from '../support/leaks.js';
import { LOOPBACK, openPair } from '../support/peers.js';
import { pattern, readPattern, readText, send, Verifier } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const MiB = 2 ** 20;

describeOverTransports('both directions of a connection', (transport) => {
  expectNoLeaks();

  it('carry streams at the same time', async () => {
    await using bound = await bind(transport);
    const { binding } = bound;
    let served = 0;
    await using server = createServer({ binding, allowHalfOpen: true }, async (socket) => {
      const answered = send(socket.writable, 8 * MiB, 100);
      served = await readPattern(socket);
      await answered;
      socket.writable.end();
    });
    const { port } = await server.listen({ host: LOOPBACK });
    await using socket = await connect({ binding, host: LOOPBACK, port, allowHalfOpen: true });
    const [received] = await Promise.all([
      readPattern(socket, 'fragments', 100),
      send(socket.writable, 8 * MiB).then(() => socket.writable.end()),
    ]);
    expect([served, received]).toEqual([8 * MiB, 8 * MiB]);
  });

  it('hold the writer back while the peer does not read', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const { peer, socket } = pair;
    peer.pause();
    // More than the kernel's buffers of both ends take.
    const flood = Buffer.concat(
      Array.from({ length: 16 }, (_, i) => pattern.slice(i * 4 * MiB, 4 * MiB)),
    );
    expect(socket.writable.write(flood)).toBe(false);
    const more = Buffer.from(pattern.slice(flood.length, 100));
    expect(socket.writable.write(more)).toBe(false);
    await immediate();
    expect(socket.writable.writableNeedDrain).toBe(true);

    const verifier = new Verifier();
    peer.on('data', (piece) => verifier.look(piece));
    const drained = once(socket.writable, 'drain');
    peer.resume();
    await drained;
    socket.writable.end();
    await once(peer, 'end');
    expect(verifier.bytes).toBe(flood.length + more.length);
  });

  it('end apart where allowHalfOpen says so: an answer follows the whole request', async () => {
    await using bound = await bind(transport);
    const { binding } = bound;
    await using server = createServer({ binding, allowHalfOpen: true }, async (socket) => {
      const request = await readText(socket);
      socket.writable.end(`${request} to you`);
      await once(socket.writable, 'finish');
    });
    const { port } = await server.listen({ host: LOOPBACK });
    await using client = await connect({ binding, host: LOOPBACK, port, allowHalfOpen: true });
    client.writable.end('hello');
    expect(await readText(client)).toBe('hello to you');
  });

  it('end together by default: the connection closes after the peer ended it', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const gone = once(pair.socket, 'close');
    const ended = once(pair.peer, 'end');
    pair.peer.end('bye');
    expect(await readText(pair.socket)).toBe('bye');
    await Promise.all([gone, ended]);
    expect(pair.socket.closed).toBe(true);
  });

  it('close the connection once both ended, half-open or not', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { allowHalfOpen: true });
    const gone = once(pair.socket, 'close', { signal: AbortSignal.timeout(5000) });
    pair.peer.end();
    expect(await readText(pair.socket)).toBe('');
    expect(pair.socket.closed).toBe(false);
    pair.socket.writable.end();
    await gone;
  });
});

describeOverTransports('data that came before the handler began', (transport) => {
  expectNoLeaks();

  it('waits in the kernel, none of it lost', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    await send(pair.peer, 100_000);
    pair.peer.end();
    await once(pair.peer, 'finish');
    expect(pair.socket.stats.receiveCalls).toBe(0);
    expect(await readPattern(pair.socket)).toBe(100_000);
  });

  it('waits for a handler of a server too', async () => {
    await using bound = await bind(transport);
    const { binding } = bound;
    const sent = deferred();
    const received = deferred<number>();
    await using server = createServer({ binding }, async (socket) => {
      await sent.promise;
      received.resolve(await readPattern(socket, 'fragments'));
    });
    const { port } = await server.listen({ host: LOOPBACK });
    await using client = await connect({ binding, host: LOOPBACK, port });
    await send(client.writable, 100_000);
    client.writable.end();
    await once(client.writable, 'finish');
    sent.resolve();
    expect(await received.promise).toBe(100_000);
  });
});
