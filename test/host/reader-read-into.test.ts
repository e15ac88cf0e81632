/** The next bytes of a stream at a place of the caller's: readInto(). */
import { setImmediate as immediate } from 'node:timers/promises';

import { DmaBuf } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { deliver, expectPattern, expectSpan, openReader } from '../support/reading.js';
import { pattern, send } from '../support/stream.js';
import { TARGETS } from '../support/targets.js';
import { rejectionOf } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const WHY = new Error('no longer wanted');

describeOverTransports('readInto()', (transport) => {
  expectNoLeaks();

  it.for(Object.keys(TARGETS))('fills %s, however the stream is cut', async (name) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    await using placed = await TARGETS[name]!(300);
    // Some of it is there before, and some comes later.
    for (const [ahead, write] of [
      [[], 300],
      [[300], 1],
      [[1, 2, 3], 7],
      [[10, 200], 45],
      [[299], 1],
      [[400], 1],
    ] as const) {
      const start = reader.position;
      await deliver(reading, ahead, start);
      const before = ahead.reduce((sum, each) => sum + each, 0);
      const into = reader.readInto(placed.target, { length: 300 });
      for (let sent = before; sent < 300; sent += write) {
        peer.write(pattern.slice(start + sent, Math.min(write, 300 - sent)));
        await immediate();
      }
      expect(await into).toBe(300);
      expect(reader.position).toBe(start + 300);
      expectPattern(placed.bytes().subarray(0, 300), start);
      await reader.skip(Math.max(before - 300, 0));
    }
  });

  it.for(Object.keys(TARGETS))('writes nothing outside its place in %s', async (name) => {
    await using reading = await openReader(transport);
    const { reader } = reading;
    await using placed = await TARGETS[name]!(4096);
    for (const [offset, length] of [
      [0, 1],
      [1, 99],
      [4000, 96],
      [4096, 0],
      [2048, 0],
    ] as const) {
      for (const ahead of [0, 50, 150]) {
        const start = reader.position;
        await deliver(reading, ahead === 0 ? [] : [ahead], start);
        const before = placed.bytes().slice();
        const into = reader.readInto(placed.target, { offset, length });
        reading.peer.write(pattern.slice(start + ahead, 200 - ahead));
        expect(await into).toBe(length);
        const after = placed.bytes();
        expectPattern(after.subarray(offset, offset + length), start);
        expect(after.slice(0, offset)).toEqual(before.slice(0, offset));
        expect(after.slice(offset + length)).toEqual(before.slice(offset + length));
        await reader.skip(200 - length);
      }
    }
  });

  it.for(Object.keys(TARGETS))('fills %s with many times what the memory holds', async (name) => {
    await using reading = await openReader(transport, { size: MiB });
    const { reader, peer, socket } = reading;
    const size = 64 * MiB;
    await using placed = await TARGETS[name]!(size);
    const sent = send(peer, size + 100);
    expect(await reader.readInto(placed.target, { length: size })).toBe(size);
    expectPattern(placed.bytes().subarray(0, size), 0);
    expectPattern(await reader.read(100), size);
    await sent;
    await immediate();
    expect(socket.stats.heldFragments).toBe(0);
  });

  it.for(Object.keys(TARGETS))('lets other connections have their turn: %s', async (name) => {
    await using reading = await openReader(transport, { size: MiB });
    const { reader, peer, bound } = reading;
    await using other = await openPair(bound.binding);
    const others = other.socket.reader();
    const size = 32 * MiB;
    await using placed = await TARGETS[name]!(size);
    const order: string[] = [];
    const into = reader.readInto(placed.target, { length: size }).then(() => order.push('all'));
    void send(peer, size).catch(() => {});
    for (let turn = 0; turn < 5; turn++) {
      other.peer.write(pattern.slice(turn * 10, 10));
      expectPattern(await others.read(10), turn * 10);
      order.push('ten');
    }
    await into;
    expect(order.slice(0, 5)).toEqual(Array(5).fill('ten'));
    expectPattern(placed.bytes().subarray(0, size), 0);
  });

  it('fills one place after the other, several calls at once', async () => {
    await using reading = await openReader(transport, { size: MiB });
    const { reader, peer } = reading;
    const size = 700_001;
    await using memory = await DmaBuf.allocate({ type: 'host', size: 4 * MiB });
    const array = Buffer.alloc(4 * size);
    const order: number[] = [];
    const calls = Array.from({ length: 8 }, async (_, index) => {
      const target = index % 2 === 0 ? memory : array;
      const bytes = await reader.readInto(target, { offset: (index >> 1) * size, length: size });
      order.push(index);
      return bytes;
    });
    void send(peer, 8 * size).catch(() => {});
    expect(await Promise.all(calls)).toEqual(Array(8).fill(size));
    const copy = memory.read(0, memory.size);
    for (let index = 0; index < 8; index++) {
      const at = (index >> 1) * size;
      const bytes = (index % 2 === 0 ? copy : array).subarray(at, at + size);
      expectPattern(bytes, index * size);
    }
    // Arrays are filled at once, memory perhaps on another thread.
    expect([...order].sort()).toEqual(calls.map((_, index) => index));
  });

  it('gives up one of several under way, in the midst of its bytes', async () => {
    for (let aborted = 0; aborted < 4; aborted++) {
      await using reading = await openReader(transport, { size: MiB });
      const { reader, peer } = reading;
      const size = 300 * KiB;
      const targets = Array.from({ length: 4 }, () => Buffer.alloc(size));
      const controller = new AbortController();
      const { signal } = controller;
      const calls = targets.map((target, index) =>
        reader
          .readInto(target, index === aborted ? { signal } : {})
          .catch((error: unknown) => error),
      );
      // Up to the middle of what it waits for.
      const some = aborted * size + 1000;
      await send(peer, some);
      const received = (): number => {
        const { copiedBytes, linearBytes } = reading.socket.stats;
        return copiedBytes + linearBytes;
      };
      while (received() < some) await immediate();
      controller.abort(WHY);
      expect(await calls[aborted]).toBe(WHY);
      const taken = reader.position - aborted * size;
      expect(taken).toBeGreaterThanOrEqual(0);
      expectPattern(targets[aborted]!.subarray(0, taken), aborted * size);
      let position = aborted * size + taken;
      await send(peer, 3 * size + taken - 1000 + 10, some);
      for (const [index, call] of calls.entries()) {
        if (index === aborted) continue;
        expect(await call).toBe(size);
        if (index < aborted) expectPattern(targets[index]!, index * size);
        else {
          expectPattern(targets[index]!, position);
          position += size;
        }
      }
      expectPattern(await reader.read(10), position);
    }
  });

  it('says how many bytes came where the stream ended, and none after that', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const target = Buffer.alloc(1000);
    const calls = [
      reader.readInto(target, { length: 300 }),
      reader.readInto(target, { offset: 300, length: 0 }),
      reader.readInto(target, { offset: 300, length: 300 }),
      reader.readInto(target, { offset: 600 }),
    ];
    peer.end(pattern.slice(0, 450));
    expect(await Promise.all(calls)).toEqual([300, 0, 150, 0]);
    expectPattern(target.subarray(0, 450), 0);
    expect(target.subarray(450).every((byte) => byte === 0)).toBe(true);
  });

  it('is followed by whatever else is asked for', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    const target = Buffer.alloc(1000);
    const first = reader.readInto(target, { length: 1000 });
    const take = reader.take(500);
    const second = reader.readInto(target, { length: 300 });
    const read = reader.read(20);
    await send(peer, 1820);
    expect(await first).toBe(1000);
    using span = await take;
    expectSpan(span, memory, 1000, 500);
    expect(await second).toBe(300);
    expectPattern(target.subarray(0, 300), 1500);
    expectPattern(await read, 1800);
  });

  it('goes on while all other memory is held, and some of that comes free later', async () => {
    await using reading = await openReader(transport, { size: 256 * KiB });
    const { reader, peer, bound } = reading;
    await using other = await openPair(bound.binding);
    const others = other.socket.reader();
    void send(other.peer, MiB).catch(() => {});
    const held = await others.take(8 * KiB);
    const target = Buffer.alloc(4 * MiB);
    const size = transport === 'copy' ? target.length : 100 * KiB;
    void send(peer, size).catch(() => {});
    expect(await reader.readInto(target, { length: size })).toBe(size);
    expectPattern(target.subarray(0, size), 0);
    expectSpan(held, bound.memory, 0, 8 * KiB);
    held.release();
  });

  it.runIf(transport === 'copy')(
    "receives straight to its place what comes later, and needs none of the binding's memory",
    async () => {
      await using reading = await openReader(transport);
      const { reader, socket, peer, bound } = reading;
      const target = new Uint8Array(MiB);
      const into = reader.readInto(target);
      for (let sent = 0; sent < MiB; sent += 64 * KiB) {
        await send(peer, 64 * KiB, sent);
        expect(bound.binding.heldBytes).toBe(0);
      }
      expect(await into).toBe(MiB);
      expectPattern(target, 0);
      expect(socket.stats).toMatchObject({ copiedBytes: MiB, fragments: 0, batches: 0 });
    },
  );

  it('refuses the memory that the socket receives into', async () => {
    await using reading = await openReader(transport);
    const { reader, memory } = reading;
    await deliver(reading, [10]);
    for (const options of [{}, { length: 0 }, { offset: 100, length: 5 }]) {
      const error = await rejectionOf(reader.readInto(memory, options));
      expect(error).toMatchObject({ code: 'ERR_DEVMEM_WRONG_MEMORY' });
      expect(error.message).toContain('use take(), or another memory');
    }
    expectPattern(await reader.read(10), 0);
  });
});
