/** Targets of readInto() that lose their memory: what they cannot have is there for the next call. */
import { setImmediate as immediate } from 'node:timers/promises';

import { DmaBuf } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { deliver, expectPattern, openReader, type Reading } from '../support/reading.js';
import { pattern, send } from '../support/stream.js';
import { resizable, transfer } from '../support/targets.js';
import { rejectionOf, thrownBy } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const CLOSED = { code: 'ERR_DEVMEM_CLOSED' };

/** Arrays, and what takes their memory, or the end of it. */
const LOSSES: Readonly<Record<string, (size: number) => [Uint8Array, () => void]>> = {
  'an array that is transferred': (size) => {
    const array = new Uint8Array(size);
    return [array, () => transfer(array)];
  },
  'a part of an array that is transferred': (size) => {
    const array = new Uint8Array(size + 100).subarray(50, 50 + size);
    return [array, () => transfer(array)];
  },
  'an array that is made shorter': (size) => {
    const buffer = resizable(size);
    return [new Uint8Array(buffer), () => buffer.resize(size - 1)];
  },
  'a part of an array of which the rest is cut off': (size) => {
    const buffer = resizable(size + 100);
    return [new Uint8Array(buffer, 50, size), () => buffer.resize(50)];
  },
};

async function received({ socket }: Reading, bytes: number): Promise<void> {
  const count = (): number => socket.stats.copiedBytes + socket.stats.linearBytes;
  while (count() < bytes) await immediate();
}

describeOverTransports('readInto() to what is lost meanwhile', (transport) => {
  expectNoLeaks();

  it.for(Object.keys(LOSSES))(
    'rejects before anything came, and takes nothing: %s',
    async (name) => {
      await using reading = await openReader(transport);
      const { reader, peer } = reading;
      const [target, lose] = LOSSES[name]!(1000);
      const into = rejectionOf(reader.readInto(target));
      await immediate();
      lose();
      peer.write(pattern.slice(0, 100));
      const error = await into;
      expect(error).toMatchObject(CLOSED);
      expect(error.message).toContain('transferred or shrunk');
      expect(reader.position).toBe(0);
      expectPattern(await reader.read(100), 0);
    },
  );

  it.for(Object.keys(LOSSES))(
    'rejects in the midst, with the rest for the next: %s',
    async (name) => {
      await using reading = await openReader(transport);
      const { reader, peer } = reading;
      await deliver(reading, [10, 20]);
      const [target, lose] = LOSSES[name]!(1000);
      const into = rejectionOf(reader.readInto(target));
      const next = Buffer.alloc(100);
      peer.write(pattern.slice(30, 100));
      await received(reading, 130);
      lose();
      const behind = reader.readInto(next);
      peer.write(pattern.slice(130, 200));
      expect(await into).toMatchObject(CLOSED);
      expect(await behind).toBe(100);
      expect(reader.position).toBe(230);
      expectPattern(next, 130);
      expectPattern(await reader.read(100), 230);
    },
  );

  it.for(Object.keys(LOSSES))('takes nothing that was there, in its turn: %s', async (name) => {
    await using reading = await openReader(transport);
    const { reader } = reading;
    const [target, lose] = LOSSES[name]!(100);
    const before = reader.read(10);
    const into = rejectionOf(reader.readInto(target));
    const behind = reader.read(100);
    lose();
    await send(reading.peer, 110);
    expectPattern(await before, 0);
    expect(await into).toMatchObject(CLOSED);
    expectPattern(await behind, 10);
  });

  it('rejects where the memory was closed before the call', async () => {
    await using reading = await openReader(transport);
    const memory = await DmaBuf.allocate({ type: 'host', size: MiB });
    await memory.close();
    const into = reading.reader.readInto(memory);
    expect(await rejectionOf(into)).toMatchObject({ ...CLOSED, message: 'target was closed' });
  });

  it('rejects where the memory was closed while it waited, and takes nothing', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const memory = await DmaBuf.allocate({ type: 'host', size: MiB });
    const before = reader.read(10);
    const into = rejectionOf(reader.readInto(memory));
    const behind = reader.read(100);
    await memory.close();
    await send(peer, 110);
    expectPattern(await before, 0);
    expect(await into).toMatchObject(CLOSED);
    expectPattern(await behind, 10);
  });

  it('rejects as soon as the memory is closed in the midst, with the rest for the next', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    await deliver(reading, [10, 20]);
    const memory = await DmaBuf.allocate({ type: 'host', size: MiB });
    const view = memory.map();
    const into = rejectionOf(reader.readInto(memory, { length: 1000 }));
    peer.write(pattern.slice(30, 100));
    await received(reading, 130);
    await memory.close();
    expect(await into).toMatchObject({ ...CLOSED, message: 'target was closed' });
    expect(reader.position).toBe(130);
    expectPattern(view.subarray(0, 130), 0);
    peer.write(pattern.slice(130, 200));
    expectPattern(await reader.read(200), 130);
  });

  it('refuses an array that has no memory, and takes one of no bytes', async () => {
    await using reading = await openReader(transport);
    for (const make of Object.values(LOSSES)) {
      const [target, lose] = make(100);
      lose();
      if (target.length > 0) continue;
      const error = await rejectionOf(reading.reader.readInto(target));
      expect(error).toMatchObject(CLOSED);
      expect(error.message).toContain('target has no memory');
    }
    expect(await reading.reader.readInto(new Uint8Array(0))).toBe(0);
  });

  it('holds nothing back where the memory is closed in the midst of copies', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    const size = 16 * MiB;
    const sent = send(peer, size).catch(() => {});
    for (const some of [1, 300 * KiB, 2 * MiB, 5 * MiB]) {
      const memory = await DmaBuf.allocate({ type: 'host', size: 8 * MiB });
      const view = memory.map();
      const start = reader.position;
      const into = reader.readInto(memory).catch((error: unknown) => error);
      while (reader.position < start + some && socket.stats.copiedBytes < start + some) {
        await immediate();
      }
      await memory.close();
      const result = await into;
      if (typeof result !== 'number') expect(result).toMatchObject(CLOSED);
      // Whatever was counted is there: the array of map() keeps the pages.
      expectPattern(view.subarray(0, reader.position - start), start);
      if (size - reader.position < 9 * MiB) break;
    }
    await reader.skip(size - reader.position);
    await sent;
    await immediate();
    expect(socket.stats.heldFragments).toBe(0);
  });

  it('reads on where the memory that was received into is closed, till all is released', async () => {
    await using reading = await openReader(transport);
    const { reader, memory, socket } = reading;
    await deliver(reading, [100]);
    await memory.close();
    expectPattern(await reader.peek(10), 0);
    expectPattern(await reader.read(10), 0);
    const target = Buffer.alloc(10);
    expect(await reader.readInto(target)).toBe(10);
    expectPattern(target, 10);
    const span = await reader.take(10);
    expectPattern(Buffer.concat([...span].map((fragment) => fragment.view())), 20);
    expect(thrownBy(() => memory.map())).toMatchObject(CLOSED);
    await reader.skip(70);
    // What was taken outlives the connection as well.
    socket.destroy();
    const views = [...span].map((fragment) => fragment.view());
    span.release();
    // As does what the CPU sees of it.
    expectPattern(Buffer.concat(views), 20);
    await immediate();
    expect(socket.stats.heldFragments).toBe(0);
  });
});
