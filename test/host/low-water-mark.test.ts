/** Waiting until many bytes are there, and what ends the wait. */
import { readFileSync } from 'node:fs';
import { setImmediate as immediate, setTimeout as delay } from 'node:timers/promises';

import { adopt, connect, createServer, type DevmemSocket } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { close, connectPlain, LOOPBACK, openPair, PlainServer } from '../support/peers.js';
import { readText, send, take } from '../support/stream.js';
import { bind, describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MARK = 64 * KiB;

/** Bytes that wait in the kernel for the socket with these ports: /proc/net/tcp's rx_queue. */
function queued({ localPort, remotePort }: DevmemSocket): number {
  const hex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
  for (const line of readFileSync('/proc/net/tcp', 'utf8').split('\n')) {
    const [, local, remote, , queues] = line.trim().split(/\s+/);
    if (local?.endsWith(`:${hex(localPort!)}`) && remote?.endsWith(`:${hex(remotePort!)}`)) {
      return Number.parseInt(queues!.split(':')[1]!, 16);
    }
  }
  return 0;
}

/** Waits until so many bytes are there, and the event loop has looked at them. */
async function arrived(socket: DevmemSocket, bytes: number): Promise<void> {
  while (queued(socket) < bytes) await delay(5);
  for (let turn = 0; turn < 3; turn++) await immediate();
}

describeOverTransports('a low-water mark', (transport) => {
  expectNoLeaks();

  it('keeps reading until it is reached', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { lowWaterMark: MARK });
    const next = take(pair.socket.batches());
    await send(pair.peer, MARK - 1);
    await arrived(pair.socket, MARK - 1);
    expect(pair.socket.stats).toMatchObject({ wakes: 0, receiveCalls: 0 });
    await send(pair.peer, 1, MARK - 1);
    using batch = await next;
    expect(batch.byteLength).toBe(MARK);
  });

  it('can be lowered while less is there', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { lowWaterMark: MARK });
    const next = take(pair.socket.batches());
    await send(pair.peer, KiB);
    await arrived(pair.socket, KiB);
    expect(pair.socket.stats.wakes).toBe(0);
    expect(pair.socket.setLowWaterMark(KiB)).toBe(pair.socket);
    using batch = await next;
    expect(batch.byteLength).toBe(KiB);
  });

  it("ends with the peer's stream", async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { lowWaterMark: MARK });
    pair.peer.end('less than that');
    expect(await readText(pair.socket)).toBe('less than that');
  });

  it('holds back nothing of what had reached it, however it is read', async () => {
    // A quarter of the message at most is held at a time.
    await using bound = await bind(transport, { size: MARK, heldLimit: MARK / 4 });
    await using pair = await openPair(bound.binding, { lowWaterMark: MARK });
    const batches = pair.socket.batches();
    for (let message = 0; message < 5; message++) {
      await send(pair.peer, MARK);
      for (let left = MARK; left > 0;) {
        using batch = await take(batches);
        left -= batch.byteLength;
      }
    }
    expect(pair.socket.stats.receiveCalls).toBeGreaterThan(5);
  });

  it('counts from the stream on, however much is read at a time', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { lowWaterMark: MARK });
    const batches = pair.socket.batches();
    // What is left of the second message is less than the mark.
    await send(pair.peer, 1.5 * MARK);
    for (let left = 1.5 * MARK; left > 0;) {
      using batch = await take(batches);
      left -= batch.byteLength;
    }
    const next = take(batches);
    await send(pair.peer, 0.5 * MARK - 1);
    await arrived(pair.socket, 0.5 * MARK - 1);
    const { wakes } = pair.socket.stats;
    await send(pair.peer, 1);
    using batch = await next;
    expect(batch.byteLength).toBe(0.5 * MARK);
    expect(pair.socket.stats.wakes).toBe(wakes + 1);
  });

  it('counts what was read ahead', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const batches = pair.socket.batches();
    await send(pair.peer, KiB);
    using first = await take(batches);
    expect(first.byteLength).toBe(KiB);
    // There is one ready that nobody has taken.
    await send(pair.peer, KiB);
    while (pair.socket.stats.batches < 2) await immediate();
    pair.socket.setLowWaterMark(MARK);
    using second = await take(batches);
    expect(second.byteLength).toBe(KiB);
    const next = take(batches);
    await send(pair.peer, MARK - KiB);
    using third = await next;
    expect(third.byteLength).toBe(MARK - KiB);
  });

  it('counts the head that another reader had taken', async () => {
    await using bound = await bind(transport);
    await using server = await PlainServer.listen({ pauseOnConnect: true });
    const accepted = server.accept();
    const client = await connectPlain(server.port);
    const head = Buffer.alloc(KiB);
    const options = { binding: bound.binding, head, lowWaterMark: MARK };
    await using socket = adopt(await accepted, options);
    const batches = socket.batches();
    using first = await take(batches);
    expect(first.byteLength).toBe(KiB);
    const next = take(batches);
    await send(client, MARK - KiB);
    using second = await next;
    expect(second.byteLength).toBe(MARK - KiB);
    await close(client);
  });

  it('may be far beyond what the kernel waits for', async () => {
    await using bound = await bind(transport, { size: 16 * MARK });
    await using pair = await openPair(bound.binding);
    const bytes = 64 * 2 ** 20;
    pair.socket.setLowWaterMark(bytes);
    void send(pair.peer, bytes);
    let left = bytes;
    for await (using batch of pair.socket.batches()) {
      left -= batch.byteLength;
      if (left === 0) break;
    }
    expect(left).toBe(0);
  });

  it('holds back no error', async () => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding, { lowWaterMark: MARK });
    const next = take(pair.socket.batches());
    pair.peer.resetAndDestroy();
    await expect(next).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(pair.socket.setLowWaterMark(1)).toBe(pair.socket);
  });

  it("is every one of a server's sockets' own", async () => {
    await using bound = await bind(transport);
    await using server = createServer({ binding: bound.binding, lowWaterMark: MARK });
    const accepted = new Promise<DevmemSocket>((resolve) => server.once('connection', resolve));
    const { port } = await server.listen({ host: LOOPBACK });
    const client = await connectPlain(port);
    const socket = await accepted;
    const next = take(socket.batches());
    await send(client, KiB);
    await arrived(socket, KiB);
    expect(socket.stats.wakes).toBe(0);
    await close(client);
    await next.then((batch) => batch.release());
  });

  it.each([0, 1.5, 2 ** 31, -1, NaN])('is not %s bytes', async (bytes) => {
    await using bound = await bind(transport);
    await using pair = await openPair(bound.binding);
    const wrong = (name: string): RegExp =>
      new RegExp(`"${name}" is out of range.*integer >= 1 and <= 2147483647.*${bytes}`);
    expect(() => pair.socket.setLowWaterMark(bytes)).toThrow(wrong('bytes'));
    const options = { binding: bound.binding, lowWaterMark: bytes };
    const named = wrong('options.lowWaterMark');
    await expect(connect({ ...options, port: 1 })).rejects.toThrow(named);
    expect(() => createServer(options)).toThrow(named);
    expect(() => adopt(pair.peer, options)).toThrow(named);
  });

  it('is a number', async () => {
    await using bound = await bind(transport);
    const options = { binding: bound.binding, port: 1, lowWaterMark: '64K' as unknown as number };
    await expect(connect(options)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
  });
});
