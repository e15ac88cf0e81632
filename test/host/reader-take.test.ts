/** Exact numbers of bytes, as they lie: take(). */
import { setImmediate as immediate } from 'node:timers/promises';

import type { Span, StallMessage } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { Recorder } from '../support/diagnostics.js';
import { expectNoLeaks } from '../support/leaks.js';
import { openPair } from '../support/peers.js';
import { expectPattern, expectSpan, openReader } from '../support/reading.js';
import { pattern, send } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;

describeOverTransports('take()', (transport) => {
  expectNoLeaks();

  it('gives exactly as many bytes, wherever writes and takes are cut', async () => {
    const size = 24;
    for (let write = 1; write <= size; write++) {
      await using reading = await openReader(transport, { size: MiB });
      const { reader, peer, memory } = reading;
      const taking = (async () => {
        let position = 0;
        for (let bytes = 1; position + bytes <= size * 4; bytes = (bytes * 5) % 23 || 1) {
          using span = await reader.take(bytes);
          expectSpan(span, memory, position, bytes);
          position += bytes;
          expect(reader.position).toBe(position);
        }
        return position;
      })();
      for (let sent = 0; sent < size * 4; sent += write) {
        peer.write(pattern.slice(sent, Math.min(write, size * 4 - sent)));
        await immediate();
      }
      expect(await taking).toBeGreaterThan(0);
    }
  });

  it.for([
    { bytes: 1, all: 3 * KiB },
    { bytes: 1447, all: 2 * MiB },
    { bytes: 4096, all: 4 * MiB },
    { bytes: 65537, all: 8 * MiB },
    { bytes: 700_001, all: 16 * MiB },
  ])('takes $all bytes of a stream in pieces of $bytes', async ({ bytes, all }) => {
    await using reading = await openReader(transport);
    const { reader, peer, memory, socket } = reading;
    const sent = send(peer, all).then(() => peer.end());
    let position = 0;
    for (; position + bytes <= all; position += bytes) {
      using span = await reader.take(bytes);
      expectSpan(span, memory, position, bytes);
    }
    const short = await rejectionOf(reader.take(bytes));
    const left = all - position;
    expect(short).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END', bytesRead: left });
    expect(short.message).toContain(`${left} of ${bytes} bytes`);
    expectPattern(await reader.read(left), position);
    await sent;
    await immediate();
    expect(socket.stats.heldFragments).toBe(0);
  });

  it('answers several calls at once in their order', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    const sizes = Array.from({ length: 50 }, (_, index) => 1 + ((index * 7919) % 20_000));
    const takes = sizes.map((bytes) => reader.take(bytes));
    const order: number[] = [];
    takes.forEach((take, index) => void take.then(() => order.push(index)));
    await send(
      peer,
      sizes.reduce((sum, each) => sum + each, 0),
    );
    let position = 0;
    for (const [index, take] of takes.entries()) {
      using span = await take;
      expectSpan(span, memory, position, sizes[index]!);
      position += span.byteLength;
    }
    expect(order).toEqual(sizes.map((_, index) => index));
  });

  it('takes nothing for no bytes', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    using nothing = await reader.take(0);
    expect([nothing.byteLength, nothing.length, nothing.linearLength]).toEqual([0, 0, 0]);
    expect([[...nothing], nothing.runs(), nothing.released]).toEqual([[], [], false]);
    peer.end();
    using more = await reader.take(0);
    expect(more.byteLength).toBe(0);
    expect(reader.position).toBe(0);
  });

  it('leaves to the next call what the stream ended with', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    const first = rejectionOf(reader.take(100));
    const second = reader.take(60);
    const third = rejectionOf(reader.take(5));
    peer.end(pattern.slice(0, 64));
    expect(await first).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END', bytesRead: 64 });
    using span = await second;
    expectSpan(span, memory, 0, 60);
    expect(await third).toMatchObject({ bytesRead: 4 });
    using rest = await reader.take(4);
    expectSpan(rest, memory, 60, 4);
    expect(await rejectionOf(reader.take(1))).toMatchObject({ bytesRead: 0 });
  });

  it('refuses at once more than the memory may hold, whether there is as much or not', async () => {
    await using reading = await openReader(transport, { size: MiB, heldLimit: 64 * KiB });
    const { reader, peer, bound } = reading;
    const { heldLimit } = bound.binding;
    const refusal = { code: 'ERR_OUT_OF_RANGE', name: 'RangeError' };
    const early = await rejectionOf(reader.take(heldLimit + 1));
    expect(early).toMatchObject(refusal);
    expect(early.message).toContain(`<= ${heldLimit}. Received type number (${heldLimit + 1})`);
    void send(peer, 4 * MiB).catch(() => {});
    expect((await reader.peek(1)).length).toBe(1);
    expect(await rejectionOf(reader.take(heldLimit + 1))).toMatchObject(refusal);
    expect(reader.position).toBe(0);
  });
});

describe('take() with memory that is full', () => {
  expectNoLeaks();

  const TOO_MUCH = { code: 'ERR_DEVMEM_TOO_MUCH' };

  it('rejects what can never be there at once, and names both numbers', async () => {
    await using reading = await openReader('copy', { size: 64 * KiB });
    const { reader, peer, bound, memory } = reading;
    const { heldLimit } = bound.binding;
    const waiting = rejectionOf(reader.take(heldLimit));
    void send(peer, MiB).catch(() => {});
    expect(await waiting).toMatchObject(TOO_MUCH);
    expect((await waiting).message).toMatch(
      new RegExp(`^${heldLimit} bytes cannot be there at once: \\d+ came`),
    );
    // Nothing of it was taken, and the stream goes on.
    const span = await reader.take(16 * KiB);
    expectSpan(span, memory, 0, 16 * KiB);
    span.release();
    await reader.skip(256 * KiB);
    using later = await reader.take(100);
    expectSpan(later, memory, 272 * KiB, 100);
  });

  it('rejects also where it was full before the call', async () => {
    await using reading = await openReader('copy', { size: 64 * KiB });
    const { reader, peer, bound, memory } = reading;
    void send(peer, MiB).catch(() => {});
    const { heldLimit } = bound.binding;
    expect(await rejectionOf(reader.take(heldLimit))).toMatchObject(TOO_MUCH);
    expect(await rejectionOf(reader.take(heldLimit))).toMatchObject(TOO_MUCH);
    expect(await rejectionOf(reader.peek(heldLimit))).toMatchObject(TOO_MUCH);
    await reader.skip(10_000);
    using span = await reader.take(1000);
    expectSpan(span, memory, 10_000, 1000);
  });

  it('lets the calls behind the one that it rejects go on', async () => {
    await using reading = await openReader('copy', { size: 64 * KiB });
    const { reader, peer, bound, memory } = reading;
    const { heldLimit } = bound.binding;
    const waiting = rejectionOf(reader.take(heldLimit));
    const small = reader.take(5000);
    const large = rejectionOf(reader.take(heldLimit));
    const rest = reader.read(300 * KiB);
    void send(peer, MiB).catch(() => {});
    expect(await waiting).toMatchObject(TOO_MUCH);
    const span = await small;
    expectSpan(span, memory, 0, 5000);
    await immediate();
    // What is held may still come free.
    span.release();
    expect(await large).toMatchObject(TOO_MUCH);
    expectPattern(await rest, 5000);
  });

  it('waits while another lease may still be released, and rejects where that does not help', async () => {
    await using reading = await openReader('copy', { size: 64 * KiB });
    const { reader, peer, bound, memory } = reading;
    using stalls = new Recorder<StallMessage>('devmem-tcp:stall');
    const held: Span[] = [];
    for (let sent = 0; sent < 32 * KiB; sent += 8 * KiB) {
      await send(peer, 8 * KiB, sent);
      held.push(await reader.take(8 * KiB));
    }
    void send(peer, MiB, 32 * KiB).catch(() => {});
    let over = false;
    const waiting = rejectionOf(reader.take(bound.binding.heldLimit)).finally(() => (over = true));
    if (stalls.messages.length === 0) await stalls.next();
    for (const [index, span] of held.entries()) {
      await immediate();
      expect(over).toBe(false);
      expectSpan(span, memory, index * 8 * KiB, 8 * KiB);
      span.release();
    }
    expect(await waiting).toMatchObject(TOO_MUCH);
    using span = await reader.take(8 * KiB);
    expectSpan(span, memory, 32 * KiB, 8 * KiB);
  });

  it('waits while another socket may still release some', async () => {
    await using reading = await openReader('copy', { size: 64 * KiB });
    const { reader, peer, bound, memory } = reading;
    await using other = await openPair(bound.binding);
    other.peer.write(pattern.slice(0, 20 * KiB));
    const kept = await other.socket.reader().take(20 * KiB);
    using stalls = new Recorder<StallMessage>('devmem-tcp:stall');
    let over = false;
    const waiting = reader.take(44 * KiB).finally(() => (over = true));
    void send(peer, MiB).catch(() => {});
    await stalls.next();
    await immediate();
    expect(over).toBe(false);
    kept.release();
    using span = await waiting;
    expectSpan(span, memory, 0, 44 * KiB);
  });
});
