/** How a reader's calls end where the stream does: nothing that came is lost, nor made up. */
import { once } from 'node:events';

import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { reset } from '../support/peers.js';
import { deliver, expectPattern, expectSpan, openReader } from '../support/reading.js';
import { pattern } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

describeOverTransports('a reader of a stream that ends', (transport) => {
  expectNoLeaks();

  it('answers each call with what there was', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const target = Buffer.alloc(100);
    const calls = [
      rejectionOf(reader.read(100)),
      rejectionOf(reader.take(100)),
      rejectionOf(reader.readUntil('no such thing')),
      rejectionOf(reader.records({ headerBytes: 4, length: () => 60 }).next()),
      reader.peek(100),
      reader.readInto(target),
      reader.peek(1),
      rejectionOf(reader.skip(1)),
      reader.readInto(target),
      reader.records({ headerBytes: 4, length: () => 4 }).next(),
    ];
    peer.end(pattern.slice(0, 60));
    const [read, take, until, record, peek, into, nothing, skip, none, done] =
      await Promise.all(calls);
    const early = { code: 'ERR_DEVMEM_UNEXPECTED_END', bytesRead: 60 };
    for (const error of [read, take, until, record]) expect(error).toMatchObject(early);
    expect(record).toMatchObject({ message: 'The stream ended after 60 of 64 bytes' });
    expect((until as Error).message).toContain('60 bytes without the delimiter');
    expectPattern(peek as Uint8Array, 0);
    expect([(peek as Uint8Array).length, into, none]).toEqual([60, 60, 0]);
    expectPattern(target.subarray(0, 60), 0);
    expect(nothing).toHaveLength(0);
    expect(skip).toMatchObject({ ...early, bytesRead: 0 });
    expect(done).toEqual({ done: true, value: undefined });
    expect(reader.position).toBe(60);
  });

  it('shows by peek() what the call behind it takes at the same moment', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    const peek = reader.peek(10);
    const take = reader.take(5);
    peer.end(pattern.slice(0, 5));
    using span = await take;
    expectSpan(span, memory, 0, 5);
    expect((await peek).length).toBe(5);
    expectPattern(await peek, 0);
  });

  it('lets its last bytes be taken in another way, after calls that wanted more', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    const calls = [reader.read(100), reader.take(100), reader.read(100)].map(rejectionOf);
    peer.end(pattern.slice(0, 60));
    for (const error of await Promise.all(calls)) expect(error).toMatchObject({ bytesRead: 60 });
    reader.releaseLock();
    let bytes = 0;
    for await (using batch of socket.batches()) bytes += batch.byteLength;
    expect(bytes).toBe(60);
  });

  it('drops what skip() had of it', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const skip = rejectionOf(reader.skip(100));
    peer.end(pattern.slice(0, 60));
    expect(await skip).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END', bytesRead: 60 });
    expect(reader.position).toBe(60);
  });

  it('ends the connection once the end was taken, and not before', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    const closed = once(socket, 'close');
    peer.end(pattern.slice(0, 60));
    expect(await rejectionOf(reader.take(61))).toMatchObject({ bytesRead: 60 });
    expect(socket.writable.writableEnded).toBe(false);
    await reader.skip(60);
    expect(await reader.readInto(Buffer.alloc(1))).toBe(0);
    await closed;
    expect(socket.error).toBeUndefined();
  });
});

describeOverTransports('a reader of a stream that is reset', (transport) => {
  expectNoLeaks();

  it('rejects all that wait and all that come later with the error', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    const target = Buffer.alloc(10);
    const calls = (): Promise<unknown>[] => [
      reader.readInto(target),
      reader.take(10),
      reader.read(10),
      reader.peek(10),
      reader.skip(10),
      reader.readUntil('x'),
      reader.records({ headerBytes: 1, length: () => 10 }).next(),
    ];
    const waiting = calls().map(rejectionOf);
    reset(peer);
    for (const error of await Promise.all(waiting)) {
      expect(error).toMatchObject({ code: 'ECONNRESET' });
    }
    for (const error of await Promise.all(calls().map(rejectionOf))) {
      expect(error).toMatchObject({ code: 'ECONNRESET' });
    }
    await socket.close();
    expect(await rejectionOf(reader.readInto(target))).toMatchObject({ code: 'ECONNRESET' });
  });

  it('leaves there what read() had of it', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    await deliver(reading, [10, 20]);
    const read = rejectionOf(reader.read(100));
    const behind = reader.take(12);
    reset(peer);
    expect(await read).toMatchObject({ code: 'ECONNRESET' });
    using span = await behind;
    expectSpan(span, memory, 0, 12);
    expectPattern(await reader.read(18), 12);
    expect(reader.position).toBe(30);
  });
});

describeOverTransports('a reader of a socket that is closed', (transport) => {
  expectNoLeaks();

  const CLOSED = { code: 'ERR_DEVMEM_CLOSED', message: 'The socket was closed' };
  const WHY = new Error('no longer wanted');

  it.for([
    { how: 'close()', error: CLOSED },
    { how: 'destroy()', error: CLOSED },
    { how: 'destroy(error)', error: WHY },
  ])('rejects all that wait and all that come later: by $how', async ({ how, error }) => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    const target = Buffer.alloc(100);
    const calls = (): Promise<unknown>[] => [
      reader.take(100),
      reader.readInto(target),
      reader.read(100),
      reader.peek(100),
      reader.skip(100),
      reader.readUntil('no such thing'),
      reader.records({ headerBytes: 100, length: () => 100 }).next(),
    ];
    await deliver({ peer, reader }, [10, 20]);
    const waiting = calls().map(rejectionOf);
    let closed: Promise<unknown> | undefined;
    if (how === 'close()') closed = socket.close();
    else socket.destroy(how === 'destroy(error)' ? WHY : undefined);
    for (const each of await Promise.all(waiting)) expect(each).toMatchObject(error);
    for (const each of await Promise.all(calls().map(rejectionOf))) {
      expect(each).toMatchObject(error);
    }
    await closed;
  });

  it('rejects a copy that had begun, and says how far the stream was taken', async () => {
    await using reading = await openReader(transport);
    const { reader, socket } = reading;
    await deliver(reading, [10, 20]);
    const target = Buffer.alloc(100);
    const into = rejectionOf(reader.readInto(target));
    void socket.close();
    expect(await into).toMatchObject(CLOSED);
    expect(reader.position).toBe(30);
    expectPattern(target.subarray(0, 30), 0);
  });

  it('is told of the end that was there before', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    peer.end();
    expect(await reader.readInto(Buffer.alloc(1))).toBe(0);
    await socket.close();
    expect(await reader.readInto(Buffer.alloc(1))).toBe(0);
    expect(await rejectionOf(reader.take(1))).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END' });
  });
});
