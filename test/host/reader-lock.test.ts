/** A stream with a reader is read by that alone, until it lets go. */
import { once } from 'node:events';

import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { deliver, expectPattern, expectSpan, openReader } from '../support/reading.js';
import { bytesOf, pattern, take } from '../support/stream.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const LOCKED = { code: 'ERR_DEVMEM_READER' };

describeOverTransports('a socket with a reader', (transport) => {
  expectNoLeaks();

  it('refuses every other way to read it, until the lock is released', async () => {
    await using reading = await openReader(transport);
    const { reader, socket, peer } = reading;
    const ways = [
      () => socket[Symbol.asyncIterator](),
      () => socket.batches(),
      () => socket.batches({ preventClose: true }),
      () => socket.toReadableStream(),
      () => socket.reader(),
    ];
    for (const way of ways) {
      const error = thrownBy(way);
      expect(error).toMatchObject(LOCKED);
      expect(error.message).toContain('releaseLock()');
    }
    expect(await rejectionOf(loop(socket))).toMatchObject(LOCKED);
    reader.releaseLock();
    reader.releaseLock();
    for (const way of ways.slice(0, 3)) way();
    using second = socket.reader();
    peer.write(pattern.slice(0, 10));
    expectPattern(await second.read(10), 0);
    // The old one cannot unlock what is another's.
    reader.releaseLock();
    expect(thrownBy(() => socket.reader())).toMatchObject(LOCKED);
  });

  it('refuses iterators that were there before, and answers the calls that they had made', async () => {
    await using reading = await openReader(transport);
    const { socket, peer, memory } = reading;
    reading.reader.releaseLock();
    const batches = socket.batches();
    const fragments = socket[Symbol.asyncIterator]();
    const before = batches.next();
    const reader = socket.reader();
    const read = reader.read(10);
    expect(await rejectionOf(batches.next())).toMatchObject(LOCKED);
    expect(await rejectionOf(fragments.next())).toMatchObject(LOCKED);
    peer.write(pattern.slice(0, 20));
    using batch = (await before).value!;
    expectSpan(batch, memory, 0, 20);
    peer.write(pattern.slice(20, 20));
    expectPattern(await read, 20);
    reader.releaseLock();
    using fragment = await take(fragments);
    expectPattern(bytesOf(fragment, memory), 30);
  });

  it('rejects all calls under way at its release, also those that could have been met', async () => {
    await using reading = await openReader(transport);
    const { reader, socket, memory } = reading;
    await deliver(reading, [10, 20]);
    const calls = [
      reader.take(100),
      reader.take(5),
      reader.read(100),
      reader.peek(5),
      reader.readUntil(pattern.slice(3, 4)),
      reader.skip(3),
      reader.readInto(Buffer.alloc(3)),
      reader.records({ headerBytes: 2, length: () => 2 }).next(),
    ].map(rejectionOf);
    reader.releaseLock();
    for (const error of await Promise.all(calls)) expect(error).toMatchObject(LOCKED);
    expect(reader.position).toBe(0);
    using span = await socket.reader().take(30);
    expectSpan(span, memory, 0, 30);
  });

  it('refuses every call of a reader that was released', async () => {
    await using reading = await openReader(transport);
    const { reader } = reading;
    await deliver(reading, [100]);
    const records = reader.records({ headerBytes: 2, length: () => 2 });
    reader.releaseLock();
    for (const call of [
      reader.take(1),
      reader.take(1, {}),
      reader.take(0),
      reader.read(1),
      reader.read(0),
      reader.peek(1),
      reader.skip(1),
      reader.skip(0),
      reader.readUntil('x'),
      reader.readInto(Buffer.alloc(1)),
      reader.readInto(Buffer.alloc(0)),
      records.next(),
      reader.records({ headerBytes: 2, length: () => 2 }).next(),
    ]) {
      const error = await rejectionOf(call);
      expect(error).toMatchObject(LOCKED);
      expect(error.message).toContain('get another one by socket.reader()');
    }
    expect(reader.position).toBe(0);
  });

  it('puts back at its release what a call had taken by then', async () => {
    await using reading = await openReader(transport);
    const { reader, socket, memory } = reading;
    await deliver(reading, [10, 20]);
    const read = rejectionOf(reader.read(100));
    reader.releaseLock();
    expect(await read).toMatchObject(LOCKED);
    const fragments = socket[Symbol.asyncIterator]();
    for (let position = 0; position < 30;) {
      using fragment = await take(fragments);
      expectPattern(bytesOf(fragment, memory), position);
      position += fragment.size;
    }
  });

  it('goes on in another way where the reader stopped, in the midst of a fragment', async () => {
    await using reading = await openReader(transport);
    const { reader, socket, peer, memory } = reading;
    await deliver(reading, [10, 20, 30]);
    expectPattern(await reader.read(3), 0);
    reader.releaseLock();
    const fragments = socket[Symbol.asyncIterator]();
    using first = await take(fragments);
    expectPattern(bytesOf(first, memory), 3);
    expect(first.size).toBe(7);
    let position = 10;
    {
      using again = socket.reader();
      using span = await again.take(5);
      expectSpan(span, memory, 10, 5);
      expect(again.position).toBe(5);
      position += 5;
    }
    const batches = socket.batches({ preventClose: true });
    while (position < 60) {
      using batch = await take(batches);
      expectSpan(batch, memory, position, batch.byteLength);
      position += batch.byteLength;
    }
    peer.end();
    expect(await batches.next()).toEqual({ done: true, value: undefined });
  });

  it('is unlocked at the end of its block', async () => {
    await using reading = await openReader(transport);
    const { socket } = reading;
    reading.reader.releaseLock();
    let left;
    {
      using reader = socket.reader();
      left = reader;
      expect(thrownBy(() => socket.reader())).toMatchObject(LOCKED);
    }
    expect(await rejectionOf(left.read(1))).toMatchObject(LOCKED);
    socket.reader().releaseLock();
  });
});

describeOverTransports('batches({ preventClose: true })', (transport) => {
  expectNoLeaks();

  it('leaves the connection as it is, to be read on in any way', async () => {
    await using reading = await openReader(transport);
    const { reader, socket, peer, memory } = reading;
    await deliver(reading, [10, 20]);
    reader.releaseLock();
    for await (using batch of socket.batches({ preventClose: true })) {
      expectSpan(batch, memory, 0, 10);
      break;
    }
    expect(socket.closed).toBe(false);
    {
      using again = socket.reader();
      expectPattern(await again.read(15), 10);
    }
    const closed = once(socket, 'close');
    for await (using batch of socket.batches()) {
      expectSpan(batch, memory, 25, 5);
      break;
    }
    await closed;
    peer.destroy();
  });

  it('ends with the stream as others do', async () => {
    await using reading = await openReader(transport);
    const { reader, socket, peer } = reading;
    reader.releaseLock();
    peer.end(pattern.slice(0, 100));
    let bytes = 0;
    for await (using batch of socket.batches({ preventClose: true })) bytes += batch.byteLength;
    expect(bytes).toBe(100);
  });

  it.for([1, 'yes', null])('takes no %o for a boolean', async (preventClose) => {
    await using reading = await openReader(transport);
    reading.reader.releaseLock();
    const options = { preventClose } as unknown as { preventClose: boolean };
    const error = thrownBy(() => reading.socket.batches(options));
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    expect(error.message).toContain('"options.preventClose" argument must be a boolean. Received ');
  });
});

async function loop(socket: AsyncIterable<unknown>): Promise<void> {
  for await (const fragment of socket) expect.unreachable(String(fragment));
}
