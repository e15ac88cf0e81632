/** Large copies to memory, which another thread makes: what they hold, and until when. */
import { setImmediate as immediate } from 'node:timers/promises';

import { DmaBuf } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { reset } from '../support/peers.js';
import { expectPattern, expectSpan, openReader, type Reading } from '../support/reading.js';
import { send } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';

const MiB = 2 ** 20;
const SIZE = 4 * MiB;
const WHY = new Error('no longer wanted');

describe('readInto() of much that is there', () => {
  expectNoLeaks();

  /** A stream of which so much is there, and memory to copy it to. */
  async function withAhead(
    ahead: number,
    use: (reading: Reading, target: DmaBuf, contents: () => Uint8Array) => Promise<void>,
  ): Promise<void> {
    await using reading = await openReader('copy', { size: 16 * MiB });
    await using target = await DmaBuf.allocate({ type: 'host', size: 2 * SIZE });
    const view = target.map();
    const sent = send(reading.peer, ahead);
    await reading.reader.peek(ahead);
    await sent;
    await use(reading, target, () => view);
  }

  it('holds the bytes until they are copied, and no longer', () =>
    withAhead(SIZE, async ({ reader, bound }, target, contents) => {
      const into = reader.readInto(target, { length: SIZE });
      expect(reader.position).toBe(SIZE);
      expect(bound.binding.heldBytes).toBeGreaterThanOrEqual(SIZE);
      expect(await into).toBe(SIZE);
      expectPattern(contents().subarray(0, SIZE), 0);
      await immediate();
      expect(bound.binding.heldBytes).toBe(0);
    }));

  it('lets those behind it go on meanwhile', () =>
    withAhead(SIZE, async ({ reader, memory }, target, contents) => {
      const order: string[] = [];
      const length = SIZE - 2000;
      const into = reader.readInto(target, { length }).then(() => order.push('copy'));
      const take = reader.take(1000);
      void take.then(() => order.push('take'));
      using span = await take;
      expectSpan(span, memory, length, 1000);
      expectPattern(await reader.read(1000), length + 1000);
      expect(order).toEqual(['take']);
      await into;
      expectPattern(contents().subarray(0, length), 0);
    }));

  it('makes several copies at once, each to its place', () =>
    withAhead(SIZE, async ({ reader }, target, contents) => {
      const part = SIZE / 8 + 1;
      const calls = Array.from({ length: 7 }, (_, index) =>
        reader.readInto(target, { offset: (6 - index) * part, length: part }),
      );
      expect(await Promise.all(calls)).toEqual(Array(7).fill(part));
      for (let index = 0; index < 7; index++) {
        expectPattern(contents().subarray((6 - index) * part, (7 - index) * part), index * part);
      }
      await reader.skip(SIZE - 7 * part);
    }));

  it.for(['abort', 'releaseLock', 'reset', 'close', 'destroy'])(
    'has copied what it took by the time it rejects: %s',
    (how) =>
      withAhead(SIZE, async ({ reader, socket, peer, bound }, target, contents) => {
        const controller = new AbortController();
        const { signal } = controller;
        const into = rejectionOf(reader.readInto(target, { length: SIZE + 1, signal }));
        expect(reader.position).toBe(SIZE);
        if (how === 'abort') controller.abort(WHY);
        else if (how === 'releaseLock') reader.releaseLock();
        else if (how === 'reset') reset(peer);
        else if (how === 'close') void socket.close();
        else socket.destroy(WHY);
        const error = await into;
        if (how === 'abort' || how === 'destroy') expect(error).toBe(WHY);
        else expect(error).toHaveProperty('code');
        expectPattern(contents().subarray(0, SIZE), 0);
        await immediate();
        expect(bound.binding.heldBytes).toBe(0);
      }),
  );

  it.for(['the target', 'the memory that was received into'])(
    'survives that %s is closed',
    (what) =>
      withAhead(SIZE, async ({ reader, memory, bound }, target, contents) => {
        const into = reader.readInto(target, { length: SIZE });
        await (what === 'the target' ? target : memory).close();
        expect(await into).toBe(SIZE);
        expectPattern(contents().subarray(0, SIZE), 0);
        await immediate();
        expect(bound.binding.heldBytes).toBe(0);
      }),
  );

  it('receives on, where the copy of what was there is not done', () =>
    withAhead(SIZE, async ({ reader, peer }, target, contents) => {
      const into = reader.readInto(target);
      await send(peer, SIZE, SIZE);
      expect(await into).toBe(2 * SIZE);
      expectPattern(contents(), 0);
    }));
});
