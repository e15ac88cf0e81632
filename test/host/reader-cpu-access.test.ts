/** How often a reader's copies tell the kernel of the CPU's access (`DMA_BUF_IOCTL_SYNC`). */
import { DmaBuf } from 'devmem-tcp';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { expectPattern, openReader, type Reading } from '../support/reading.js';
import { send } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';

const KiB = 1024;
const SIZE = 4096 * KiB;

interface Access {
  memory: DmaBuf;
  access: string;
  ended: boolean;
}

/** Its internals, which the published types leave out. */
type Begin = (this: DmaBuf, access: string) => () => void;
const prototype = DmaBuf.prototype as unknown as { beginCpuAccess: Begin };

let accesses: Access[];
// An exporter that refuses: which begin or end, counted from 0.
let refuses: { begin?: number; end?: number };
let ends: number;

function countAnew(): void {
  accesses = [];
  ends = 0;
}

beforeEach(() => {
  countAnew();
  refuses = {};
  const begin = prototype.beginCpuAccess;
  vi.spyOn(prototype, 'beginCpuAccess').mockImplementation(function (this: DmaBuf, access) {
    if (accesses.length === refuses.begin) throw new Error('begin refused');
    const end = begin.call(this, access);
    const begun = { memory: this, access, ended: false };
    accesses.push(begun);
    return () => {
      expect(begun.ended).toBe(false);
      begun.ended = true;
      end();
      if (ends++ === refuses.end) throw new Error('end refused');
    };
  });
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A stream of which so much is there, in many batches and a linear fragment. */
async function withAhead(use: (reading: Reading, target: DmaBuf) => Promise<void>): Promise<void> {
  await using reading = await openReader('copy', { size: 16 * 1024 * KiB });
  await using target = await DmaBuf.allocate({ type: 'host', size: 2 * SIZE });
  const sent = send(reading.peer, SIZE);
  await reading.reader.peek(SIZE);
  await sent;
  countAnew();
  await use(reading, target);
  expect(accesses.filter(({ ended }) => !ended)).toEqual([]);
}

function tally(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { access } of accesses) counts[access] = (counts[access] ?? 0) + 1;
  return counts;
}

it('readInto() an array: once for all that is there', () =>
  withAhead(async ({ reader, memory }) => {
    const target = new Uint8Array(SIZE);
    await reader.readInto(target);
    expectPattern(target, 0);
    expect(accesses).toEqual([{ memory, access: 'read', ended: true }]);
  }));

it('readInto() memory: once for each of both, ended by the last copy', () =>
  withAhead(async ({ reader }, target) => {
    const into = reader.readInto(target, { length: SIZE });
    expect(tally()).toEqual({ read: 1, write: 1 });
    expect(accesses.map(({ ended }) => ended)).toEqual([false, false]);
    expect(await into).toBe(SIZE);
    expectPattern(target.map().subarray(0, SIZE), 0);
    expect(tally()).toEqual({ read: 1, write: 1 });
  }));

it('readInto() memory, of bytes that JavaScript had: once', () =>
  withAhead(async ({ reader }, target) => {
    const controller = new AbortController();
    // Bytes that were copied and come back are linear.
    const { signal } = controller;
    const read = rejectionOf(reader.read(SIZE + 1, { signal }));
    controller.abort(new Error('enough'));
    await read;
    countAnew();
    expect(await reader.readInto(target, { length: SIZE })).toBe(SIZE);
    expectPattern(target.map().subarray(0, SIZE), 0);
    expect(tally()).toEqual({ write: 1 });
  }));

it('read(), and looking ahead: once', () =>
  withAhead(async ({ reader }) => {
    expectPattern(await reader.peek(SIZE / 2), 0);
    expect(tally()).toEqual({ read: 1 });
    expectPattern(await reader.read(SIZE), 0);
    expect(tally()).toEqual({ read: 2 });
  }));

it('of what comes bit by bit: again for each, as the bytes came after', () =>
  withAhead(async ({ reader, peer }) => {
    await reader.skip(SIZE - 1);
    countAnew();
    const read = reader.read(3);
    await send(peer, 1, SIZE);
    await send(peer, 1, SIZE + 1);
    expectPattern(await read, SIZE - 1);
    expect(accesses.length).toBeGreaterThan(1);
  }));

it.for([{ begin: 0 }, { begin: 1 }, { end: 0 }, { end: 1 }])(
  'ends what it began where an exporter refuses: %o',
  (which) =>
    withAhead(async ({ reader }, target) => {
      refuses = which;
      const error = await rejectionOf(reader.readInto(target, { length: SIZE }));
      expect(error.message).toMatch(/(begin|end) refused/);
      refuses = {};
    }),
);
