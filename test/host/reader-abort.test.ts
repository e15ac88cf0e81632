/** Calls of a reader that are given up: by a signal, before, in the midst of, or after it. */
import { setImmediate as immediate } from 'node:timers/promises';

import type { ReadOptions, SocketReader } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { foreignController } from '../support/foreign.js';
import { expectNoLeaks } from '../support/leaks.js';
import { deliver, expectPattern, expectSpan, openReader } from '../support/reading.js';
import { pattern, send } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const WHY = new Error('no longer wanted');

type Call = (reader: SocketReader, options: ReadOptions) => Promise<unknown>;

/** Each wants 100 bytes. */
const CALLS: Readonly<Record<string, Call>> = {
  'take()': (reader, options) => reader.take(100, options),
  'read()': (reader, options) => reader.read(100, options),
  'peek()': (reader, options) => reader.peek(100, options),
  'skip()': (reader, options) => reader.skip(100, options),
  'readUntil()': (reader, options) => reader.readUntil(pattern.slice(90, 10), options),
  'readInto()': (reader, options) => reader.readInto(Buffer.alloc(100), options),
  'records().next()': (reader, { signal }) => {
    const options = { headerBytes: 10, length: () => 90 };
    return reader.records(signal === undefined ? options : { ...options, signal }).next();
  },
};
/** What they want they take as it comes. */
const TAKES_AS_IT_COMES = ['skip()', 'readInto()'];

describeOverTransports('a call of a reader', (transport) => {
  expectNoLeaks();

  it.for(Object.entries(CALLS))(
    'takes nothing where it was aborted before: %s',
    async ([, call]) => {
      await using reading = await openReader(transport);
      const { reader } = reading;
      await deliver(reading, [100]);
      const signal = AbortSignal.abort(WHY);
      expect(await rejectionOf(call(reader, { signal }))).toBe(WHY);
      expectPattern(await reader.read(100), 0);
    },
  );

  it.for(Object.entries(CALLS))('loses nothing where it is aborted: %s', async ([name, call]) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    await deliver(reading, [10, 20]);
    const controller = new AbortController();
    const waiting = rejectionOf(call(reader, controller));
    peer.write(pattern.slice(30, 20));
    await immediate();
    controller.abort(WHY);
    expect(await waiting).toBe(WHY);
    const taken = reader.position;
    if (!TAKES_AS_IT_COMES.includes(name)) expect(taken).toBe(0);
    peer.write(pattern.slice(50, 50));
    expectPattern(await reader.read(100 - taken), taken);
    expect(reader.position).toBe(100);
  });

  it.for(Object.entries(CALLS))('is done once it was met: %s', async ([, call]) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const controller = foreignController();
    const waiting = call(reader, controller);
    await immediate();
    expect(controller.listeners).toBe(1);
    peer.write(pattern.slice(0, 100));
    const result = await waiting;
    expect(controller.listeners).toBe(0);
    controller.abort();
    release(result);
    expect(reader.position % 100).toBe(0);
  });

  it.for(Object.entries(CALLS))('heeds the signal of another realm: %s', async ([, call]) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const controller = foreignController();
    const waiting = rejectionOf(call(reader, controller));
    controller.abort();
    expect(await waiting).toMatchObject({ name: 'AbortError' });
    expect(controller.listeners).toBe(0);
    peer.write(pattern.slice(0, 100));
    expectPattern(await reader.read(100), 0);
  });

  it.for(Object.entries(CALLS))(
    'leaves no listener at the end of the stream: %s',
    async ([, call]) => {
      await using reading = await openReader(transport);
      const { reader, peer } = reading;
      const controller = foreignController();
      const waiting = call(reader, controller).catch(() => {});
      peer.end();
      await waiting;
      expect(controller.listeners).toBe(0);
    },
  );

  it.for(
    Object.keys(CALLS).flatMap((first) => Object.keys(CALLS).map((second) => [first, second])),
  )('lets those behind it go on where it is aborted: %s before %s', async ([first, second]) => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    await deliver(reading, [10, 20]);
    const controller = new AbortController();
    const before = reader.skip(0);
    const given = rejectionOf(CALLS[first!]!(reader, controller));
    const kept = CALLS[second!]!(reader, {});
    const last = reader.take(100);
    await before;
    controller.abort(WHY);
    expect(await given).toBe(WHY);
    await send(peer, 300, 30);
    const result = await kept;
    using span = await last;
    expectSpan(span, memory, reader.position - 100, 100);
    release(result);
  });

  it('is given up in any order with others, by one signal or its own', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    await deliver(reading, [10, 20]);
    const all = new AbortController();
    const own = new AbortController();
    const calls = [
      reader.read(40, all),
      reader.take(1000, all),
      reader.read(50, own),
      reader.peek(60, all),
    ].map(rejectionOf);
    const kept = reader.take(70);
    own.abort(WHY);
    all.abort(WHY);
    for (const error of await Promise.all(calls)) expect(error).toBe(WHY);
    peer.write(pattern.slice(30, 40));
    using span = await kept;
    expectSpan(span, memory, 0, 70);
  });

  it('that is aborted again and again finds all that came', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const size = 64 * KiB;
    const sent = send(peer, size);
    for (let turn = 0; turn < 50; turn++) {
      const controller = new AbortController();
      const read = rejectionOf(reader.read(size + 1, controller));
      if (turn % 3 > 0) await immediate();
      controller.abort(WHY);
      expect(await read).toBe(WHY);
    }
    await sent;
    expectPattern(await reader.read(size), 0);
    expect(reader.position).toBe(size);
  });
});

function release(result: unknown): void {
  const lease = (result as { value?: unknown } | undefined)?.value ?? result;
  (lease as { release?: () => void } | undefined)?.release?.();
}
