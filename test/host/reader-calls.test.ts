/** Copies of the next bytes: read(), peek(), skip(), readUntil(). */
import { setImmediate as immediate } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { deliver, expectPattern, expectSpan, openReader } from '../support/reading.js';
import { pattern, send } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;

describeOverTransports('a reader', (transport) => {
  expectNoLeaks();

  it('reads, shows and drops as many bytes as it is told, wherever the stream is cut', async () => {
    for (const write of [1, 2, 3, 5, 7, 16, 100]) {
      await using reading = await openReader(transport, { size: MiB });
      const { reader, peer } = reading;
      const all = 300;
      const reads = (async () => {
        let position = 0;
        for (let size = 1; position + 3 * size < all; size = (size * 3) % 17) {
          const shown = reader.peek(size + 1);
          const read = reader.read(size);
          const dropped = reader.skip(size);
          const next = reader.peek(1);
          expectPattern(await shown, position);
          expect((await shown).length).toBe(size + 1);
          expectPattern(await read, position);
          expect((await read).length).toBe(size);
          await dropped;
          position += 2 * size;
          expectPattern(await next, position);
          expect(reader.position).toBe(position);
        }
      })();
      for (let sent = 0; sent < all; sent += write) {
        peer.write(pattern.slice(sent, Math.min(write, all - sent)));
        await immediate();
      }
      await reads;
    }
  });

  it('reads many times what the memory holds into one array', async () => {
    await using reading = await openReader(transport, { size: 256 * KiB });
    const { reader, peer } = reading;
    const size = 8 * MiB + 1;
    void send(peer, size + 10).catch(() => {});
    const bytes = await reader.read(size);
    expect(bytes.constructor).toBe(Uint8Array);
    expect(bytes.buffer.byteLength).toBe(size);
    expectPattern(bytes, 0);
    expectPattern(await reader.read(10), size);
  });

  it('drops many times what the memory holds', async () => {
    await using reading = await openReader(transport, { size: 256 * KiB });
    const { reader, peer } = reading;
    void send(peer, 8 * MiB + 10).catch(() => {});
    await reader.skip(8 * MiB);
    expectPattern(await reader.read(10), 8 * MiB);
  });

  it('gives copies that outlive what they were made of', async () => {
    await using reading = await openReader(transport, { size: 64 * KiB });
    const { reader, peer } = reading;
    void send(peer, MiB).catch(() => {});
    const copies = [await reader.peek(1000), await reader.read(1000)];
    copies.push(await reader.readUntil(pattern.slice(1100, 20)));
    await reader.skip(512 * KiB);
    for (const [index, start] of [0, 0, 1000].entries()) expectPattern(copies[index]!, start);
    // Nor are they what is read from.
    copies[0]!.fill(0);
    expectPattern(copies[1]!, 0);
  });

  it('does nothing for no bytes', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    expect(await reader.read(0)).toEqual(new Uint8Array());
    await reader.skip(0);
    peer.end();
    expect(await reader.read(0)).toEqual(new Uint8Array());
    await reader.skip(0);
    expect(reader.position).toBe(0);
  });

  it('finds a delimiter wherever the stream is cut, and each one in turn', async () => {
    const lines = ['', 'a', '\r', '\n', 'some words', 'ends in \r', '\r\r', 'é'];
    const text = Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
    for (let write = 1; write <= text.length; write++) {
      await using reading = await openReader(transport, { size: MiB });
      const { reader, peer } = reading;
      const calls = lines.map(() => reader.readUntil('\r\n'));
      const rest = rejectionOf(reader.readUntil('\r\n'));
      for (let at = 0; at < text.length; at += write) {
        peer.write(text.subarray(at, at + write));
        if (at % 8 === 0) await immediate();
      }
      peer.end('x');
      const found = await Promise.all(calls);
      expect(found.map((bytes) => Buffer.from(bytes).toString())).toEqual(
        lines.map((line) => `${line}\r\n`),
      );
      expect(await rest).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END', bytesRead: 1 });
      expect(await reader.read(1)).toEqual(new Uint8Array([120]));
    }
  });

  it('takes bytes for a delimiter, and does not heed what becomes of them', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const delimiter = Uint8Array.of(0, 255);
    const found = reader.readUntil(delimiter);
    delimiter.fill(1);
    peer.write(Uint8Array.of(1, 1, 255, 0, 0, 255, 9));
    expect(await found).toEqual(Uint8Array.of(1, 1, 255, 0, 0, 255));
  });

  it.for([1, 2, 9, 10])('refuses a delimiter that does not end within %i bytes', async (limit) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    peer.write('123456789\n');
    const search = reader.readUntil('\n', { limit });
    if (limit === 10) expect((await search).length).toBe(10);
    else {
      const error = await rejectionOf(search);
      expect(error).toMatchObject({ code: 'ERR_DEVMEM_TOO_LONG' });
      expect(error.message).toMatch(
        new RegExp(`^The first ${limit} bytes hold no delimiter. Raise`),
      );
      expect(Buffer.from(await reader.read(10)).toString()).toBe('123456789\n');
    }
  });

  it('goes by turns from one call to another, in the midst of fragments', async () => {
    await using reading = await openReader(transport);
    const { reader, memory } = reading;
    await deliver(reading, [100, 100, 100]);
    expectPattern(await reader.read(10), 0);
    using span = await reader.take(50);
    expectPattern(await reader.peek(200), 60);
    expectPattern(await reader.readUntil(pattern.slice(70, 10)), 60);
    using second = await reader.take(70);
    await reader.skip(10);
    expectPattern(await reader.peek(140), 160);
    using third = await reader.take(140);
    expectSpan(span, memory, 10, 50);
    expectSpan(second, memory, 80, 70);
    expectSpan(third, memory, 160, 140);
  });
});
