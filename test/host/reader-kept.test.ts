/**
 * Small parts of the stream that are kept for long: they keep their own pages, and nothing of
 * the large fragments that they were cut from.
 *
 *   DEVMEM_SEED=17 npx vitest run --project host test/host/reader-kept.test.ts   that one alone
 */
import { setImmediate as immediate } from 'node:timers/promises';

import type { Span } from 'devmem-tcp';
import { describe, expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { generator } from '../support/random.js';
import { expectPattern, expectSpan, openReader, type Reading } from '../support/reading.js';
import { pattern, send } from '../support/stream.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const PAGE = 4 * KiB;

interface Kept {
  span: Span;
  position: number;
}

/** The pages that spans lie in, and no others. */
function pagesOf(kept: readonly Kept[]): number {
  const pages = new Set<number>();
  for (const { span } of kept) {
    for (const { offset, size } of span.runs()) {
      for (let page = Math.floor(offset! / PAGE); page * PAGE < offset! + size; page++) {
        pages.add(page);
      }
    }
  }
  return pages.size;
}

function expectKept(kept: readonly Kept[], { memory }: Reading): void {
  for (const { span, position } of kept) expectSpan(span, memory, position, span.byteLength);
}

/** Reads on and keeps spans of which all pages together may be `most`. */
async function readAndKeep(reading: Reading, all: number, most: number, seed: number) {
  const { reader, memory } = reading;
  const random = generator(seed);
  const kept: Kept[] = [];
  while (reader.position < all) {
    const left = all - reader.position;
    const position = reader.position;
    const small = Math.min(1 + random(random(2) === 0 ? 100 : 3 * PAGE), left);
    switch (random(4)) {
      case 0:
        await reader.skip(Math.min(random(512 * KiB), left));
        break;
      case 1:
        expectPattern(await reader.read(small), position);
        break;
      default: {
        const span = await reader.take(small);
        expectSpan(span, memory, position, small);
        kept.push({ span, position });
      }
    }
    while (pagesOf(kept) > most) {
      const [dropped] = kept.splice(random(kept.length), 1);
      expectSpan(dropped!.span, memory, dropped!.position, dropped!.span.byteLength);
      dropped!.span.release();
    }
  }
  return kept;
}

const chosen = process.env.DEVMEM_SEED;
const SEEDS = chosen === undefined ? [1, 2, 3, 4, 5, 6] : [Number(chosen)];

describe('spans that are kept, on the copy transport', () => {
  expectNoLeaks();

  it.for(SEEDS)(
    'let reading go on as long as their pages stay below the limit, seed %i',
    async (seed) => {
      const size = [256 * KiB, MiB, 4 * MiB][seed % 3]!;
      await using reading = await openReader('copy', { size });
      const { bound, peer, socket } = reading;
      const all = 12 * size;
      const sent = send(peer, all);
      const limit = bound.binding.heldLimit / PAGE;
      const kept = await readAndKeep(reading, all, Math.floor(limit / 2), seed);
      await sent;
      await immediate();
      expectKept(kept, reading);
      expect(bound.binding.heldBytes).toBe(pagesOf(kept) * PAGE);
      for (const { span } of kept) span.release();
      await immediate();
      expect(bound.binding.heldBytes).toBe(0);
      expect(socket.stats.heldFragments).toBe(0);
    },
  );

  it('keep their own pages of a fragment that was taken whole', async () => {
    await using reading = await openReader('copy', { size: MiB });
    const { bound, peer, reader } = reading;
    await send(peer, 256 * KiB);
    await reader.peek(256 * KiB);
    const first = { span: await reader.take(10), position: 0 };
    await reader.skip(100 * KiB);
    const second = { span: await reader.take(2 * PAGE), position: reader.position - 2 * PAGE };
    await reader.skip(256 * KiB - reader.position);
    await immediate();
    await immediate();
    expect(bound.binding.heldBytes).toBe(pagesOf([first, second]) * PAGE);
    expectKept([first, second], reading);
    second.span.release();
    await immediate();
    expect(bound.binding.heldBytes).toBe(PAGE);
    first.span.release();
  });

  it('keep a page that two of them share until both are released, in either order', async () => {
    for (const order of [0, 1]) {
      await using reading = await openReader('copy', { size: MiB });
      const { bound, peer, reader } = reading;
      await send(peer, 5 * PAGE);
      await reader.peek(5 * PAGE);
      const spans = [await reader.take(PAGE + 100), await reader.take(100)];
      await reader.skip(4 * PAGE - 200);
      spans[order]!.release();
      await immediate();
      await immediate();
      expect(bound.binding.heldBytes).toBe((order === 0 ? 1 : 2) * PAGE);
      spans[1 - order]!.release();
    }
  });

  it('go back in parts where what was cut is put back and cut again', async () => {
    await using reading = await openReader('copy', { size: MiB });
    const { bound, peer, reader, memory } = reading;
    await send(peer, 40 * PAGE);
    await reader.peek(40 * PAGE);
    const first = await reader.take(100);
    // Gives up what it has read, which is then before the rest of the fragment.
    const given = new AbortController();
    const waiting = reader.read(41 * PAGE, { signal: given.signal });
    given.abort();
    await expect(waiting).rejects.toThrow();
    expect(reader.position).toBe(100);
    peer.write(pattern.slice(40 * PAGE, 20 * PAGE));
    await reader.skip(50 * PAGE);
    const second = await reader.take(10);
    expectSpan(second, memory, 100 + 50 * PAGE, 10);
    await reader.skip(60 * PAGE - reader.position);
    await immediate();
    await immediate();
    expect(bound.binding.heldBytes).toBe(2 * PAGE);
    first.release();
    second.release();
  });
});
