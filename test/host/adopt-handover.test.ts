/** What becomes of the net.Socket, which its owner and Node still have, once it is adopted. */
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { adopt, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK, PlainServer } from '../support/peers.js';
import { plainPair } from '../support/plain-pair.js';
import { readText, take } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { bind, describeOverTransports } from '../support/transports.js';

const IDLE_MS = 20;

/** Waits until a socket that is idle from now on would have been timed out. */
async function idle(): Promise<void> {
  const clock = new net.Socket();
  clock.setTimeout(IDLE_MS);
  await once(clock, 'timeout');
  await close(clock);
}

describeOverTransports('once it is adopted, a net.Socket', (transport) => {
  expectNoLeaks();

  it('is not timed out for being idle, as Node would find it', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair();
    let timeouts = 0;
    pair.socket.setTimeout(IDLE_MS, () => {
      timeouts++;
      pair.socket.destroy();
    });
    const socket = adopt(pair.socket, { binding: bound.binding });
    await idle();
    // Writing starts Node's timer anew, where there is one.
    socket.writable.write('still here');
    await idle();
    expect(timeouts).toBe(0);
    pair.peer.end('whole');
    expect(await readText(socket)).toBe('whole');
  });

  it('is not timed out by the http server that it was upgraded from', async () => {
    await using bound = await bind(transport);
    const server = http.createServer();
    server.timeout = 100_000;
    server.listen(0, LOOPBACK);
    await once(server, 'listening');
    const upgraded = once(server, 'upgrade') as Promise<[unknown, net.Socket, Buffer]>;
    const peer = await connectPlain((server.address() as net.AddressInfo).port);
    peer.resume();
    peer.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: devmem\r\n\r\n');
    const [, connection, head] = await upgraded;
    expect(connection.timeout).toBe(100_000);
    const socket = adopt(connection, { binding: bound.binding, head });
    expect(connection.timeout).toBe(0);
    peer.end('whole');
    expect(await readText(socket)).toBe('whole');
    await socket.close();
    await close(peer);
    server.close();
    await once(server, 'close');
  });

  it('fails the stream when somebody else destroys it, whatever came before', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair();
    const socket = adopt(pair.socket, { binding: bound.binding });
    const iterator = socket[Symbol.asyncIterator]();
    pair.peer.write('the first part');
    (await take(iterator)).release();
    const waiting = rejectionOf(iterator.next());
    pair.socket.destroy();
    const error = await waiting;
    expect(error).toMatchObject({ name: 'DevmemError', code: 'ERR_DEVMEM_CLOSED' });
    expect(error.message).toContain('by somebody else');
    expect(socket.error).toBe(error);
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('fails the stream with the error that it is destroyed with', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair();
    const socket = adopt(pair.socket, { binding: bound.binding });
    const reason = new Error('enough');
    const waiting = rejectionOf(readText(socket));
    pair.socket.destroy(reason);
    expect(await waiting).toBe(reason);
  });

  it('does not fail the stream by its own end', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair({ allowHalfOpen: true });
    const ended = once(pair.socket, 'end');
    pair.socket.end('bye');
    pair.socket.resume();
    pair.peer.end();
    let adopted: DevmemSocket | undefined;
    pair.socket.once('end', () => (adopted = adopt(pair.socket, { binding: bound.binding })));
    await ended;
    expect(await readText(adopted!)).toBe('');
    expect(adopted!.error).toBeUndefined();
  });

  it("keeps its writing side open, though Node has read the peer's end", async () => {
    await using bound = await bind(transport);
    await using server = await PlainServer.listen();
    const accepted = server.accept();
    const peer = await connectPlain(server.port, LOOPBACK, { allowHalfOpen: true });
    let answer = '';
    peer.on('data', (piece) => (answer += String(piece)));
    const answered = once(peer, 'end');
    const connection = await accepted;
    connection.pause();
    peer.end('question');
    // Node has read the end too by then: 'end' would come right behind the last 'data'.
    while (!hasEnded(connection)) {
      connection.read(0);
      await nextTurn();
    }
    const socket = await new Promise<DevmemSocket>((resolve) => {
      connection.once('data', (head) => {
        resolve(adopt(connection, { binding: bound.binding, head }));
      });
      connection.resume();
    });
    for (let turn = 0; turn < 5; turn++) await nextTurn();
    socket.writable.end('answer');
    expect(await readText(socket)).toBe('question');
    await answered;
    expect(answer).toBe('answer');
    await close(peer);
  });

  it('is told of no data and no end, whoever asks it', async () => {
    await using bound = await bind(transport);
    await using pair = await plainPair();
    const socket = adopt(pair.socket, { binding: bound.binding });
    const events: string[] = [];
    for (const event of ['data', 'end', 'readable']) {
      pair.socket.on(event, () => events.push(event));
    }
    pair.socket.removeAllListeners('readable');
    pair.socket.resume();
    expect(pair.socket.read()).toBeNull();
    pair.peer.end('whole');
    expect(await readText(socket)).toBe('whole');
    await socket.close();
    expect(events).toEqual([]);
    expect(pair.socket.bytesRead).toBe(0);
  });
});

/** Whether Node has read the end of the stream, which may not have been told yet. */
function hasEnded(socket: net.Socket): boolean {
  return (socket as unknown as { _readableState: { ended: boolean } })._readableState.ended;
}
