/** What take() gives: a lease of so many bytes. */
import { setImmediate as immediate } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { contents, deliver, expectPattern, expectSpan, openReader } from '../support/reading.js';
import { thrownBy } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const RELEASED = { code: 'ERR_DEVMEM_RELEASED' };

describeOverTransports('a span', (transport) => {
  expectNoLeaks();

  it('has its bytes whichever way they are looked at, in one batch or in several', async () => {
    await using reading = await openReader(transport);
    const { reader, memory } = reading;
    await deliver(reading, [10, 20, 30, 40]);
    using first = await reader.take(5);
    using second = await reader.take(50);
    using third = await reader.take(45);
    expectSpan(first, memory, 0, 5);
    expectSpan(second, memory, 5, 50);
    expectSpan(third, memory, 55, 45);
    expect([first.length, second.length, third.length]).toEqual([1, 3, 2]);
  });

  it('tells which of its bytes are linear', async () => {
    await using reading = await openReader(transport);
    const { reader } = reading;
    await deliver(reading, [10, 20]);
    using span = await reader.take(25);
    const linear = transport === 'cmsg' ? 25 : 0;
    expect(span.linearLength).toBe(linear);
    for (const { bytes, size } of span.runs()) {
      expect(bytes?.length).toBe(linear === 0 ? undefined : size);
    }
    if (linear === 0) span.forEach(() => {});
    else {
      const error = thrownBy(() => span.forEach(() => expect.unreachable()));
      expect(error).toMatchObject({ code: 'ERR_DEVMEM_LINEAR_FRAGMENT' });
      expect(error.message).toContain('This span holds 25 bytes');
    }
  });

  it('leaves out the fragments that were released one by one, and keeps the others', async () => {
    await using reading = await openReader(transport);
    const { reader, memory } = reading;
    await deliver(reading, [10, 20, 30, 40]);
    using span = await reader.take(95);
    const fragments = [...span];
    const sizes = [10, 20, 30, 35];
    expect(fragments.map(({ size }) => size)).toEqual(sizes);
    for (const gone of [0, 2, 1]) {
      fragments[gone]!.release();
      fragments[gone]!.release();
      expect(fragments[gone]!.released).toBe(true);
      const left = sizes.map((_, index) => index).filter((index) => !fragments[index]!.released);
      expect(span.released).toBe(false);
      expect([...span].map(({ size }) => size)).toEqual(left.map((index) => sizes[index]));
      const indices: number[] = [];
      span.forEach(
        (_offset, _size, _id, index) => indices.push(index),
        (_bytes, index) => indices.push(index),
      );
      expect(indices).toEqual(left);
      const runs = span.runs().reduce((sum, { size }) => sum + size, 0);
      expect(runs).toBe(left.reduce((sum, index) => sum + sizes[index]!, 0));
    }
    expectPattern(Buffer.concat([...span].map((fragment) => fragment.view())), 60);
    expect([span.length, span.byteLength]).toEqual([4, 95]);
    fragments[3]!.release();
    expect(span.released).toBe(true);
    expect(thrownBy(() => span.runs())).toMatchObject(RELEASED);
    // What is left of the fragment that the next one shares.
    using rest = await reader.take(5);
    expectSpan(rest, memory, 95, 5);
  });

  it.for([0, 1, 25])('of %i bytes throws at whatever is used after its release', async (bytes) => {
    await using reading = await openReader(transport);
    const { reader } = reading;
    await deliver(reading, [10, 20]);
    const span = await reader.take(bytes);
    const fragments = [...span];
    span.release();
    span.release();
    expect(span.released).toBe(true);
    expect(span.byteLength).toBe(bytes);
    const nothing = (): void => {};
    for (const use of [
      () => span.forEach(nothing, nothing),
      () => [...span],
      () => span.runs(),
      () => span.linearLength,
      ...fragments.map((fragment) => () => fragment.view()),
      ...fragments.map((fragment) => () => fragment.size),
    ]) {
      expect(thrownBy(use)).toMatchObject(RELEASED);
    }
  });

  it('that a callback releases is not read on', async () => {
    await using reading = await openReader(transport);
    const { reader } = reading;
    await deliver(reading, [10, 20, 30]);
    const span = await reader.take(60);
    let calls = 0;
    const release = (): void => {
      calls++;
      span.release();
    };
    expect(thrownBy(() => span.forEach(release, release))).toMatchObject(RELEASED);
    expect(calls).toBe(1);
  });

  it('is given back at the end of its block, and what it shares once all have been', async () => {
    await using reading = await openReader(transport);
    const { reader, socket } = reading;
    await deliver(reading, [100]);
    const held = async (): Promise<number> => {
      await immediate();
      return socket.stats.heldFragments;
    };
    {
      using span = await reader.take(10);
      expect(span.byteLength).toBe(10);
    }
    expect(await held()).toBe(1);
    const middle = await reader.take(30);
    const last = await reader.take(60);
    last.release();
    expect(await held()).toBe(1);
    middle.release();
    expect(await held()).toBe(0);
  });

  it.for(['in order', 'backwards'])('shares a fragment with others, released %s', async (order) => {
    await using reading = await openReader(transport);
    const { reader, memory, socket, bound } = reading;
    await deliver(reading, [1000, 1000]);
    const spans = await Promise.all([300, 300, 300, 300, 800].map((size) => reader.take(size)));
    const positions = [0, 300, 600, 900, 1200];
    const indices = order === 'backwards' ? [4, 3, 2, 1, 0] : [0, 1, 2, 3, 4];
    for (const index of indices) {
      for (const other of indices.slice(indices.indexOf(index))) {
        expectPattern(contents(spans[other]!, memory), positions[other]!);
      }
      spans[index]!.release();
      await immediate();
    }
    expect(socket.stats.heldFragments).toBe(0);
    expect(bound.binding.heldBytes).toBe(0);
  });

  it('stays valid after the connection and the reader are gone', async () => {
    await using reading = await openReader(transport);
    const { reader, memory, peer, socket } = reading;
    await deliver(reading, [1000]);
    using span = await reader.take(300);
    reader.releaseLock();
    peer.destroy();
    await socket.close();
    expectSpan(span, memory, 0, 300);
    span.release();
    await immediate();
    expect(socket.stats.heldFragments).toBe(0);
  });
});
