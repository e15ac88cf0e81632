/** Records that say in a header how long they are: records(). */
import { setImmediate as immediate } from 'node:timers/promises';

import type { RecordsOptions, StreamRecord } from 'devmem-tcp';
import { expect, it } from 'vitest';

import { expectNoLeaks } from '../support/leaks.js';
import { contents, openReader } from '../support/reading.js';
import { pattern } from '../support/stream.js';
import { rejectionOf } from '../support/thrown.js';
import { describeOverTransports } from '../support/transports.js';

const KiB = 1024;
const MiB = 1024 * KiB;

const PREFIXED = {
  headerBytes: 4,
  length: (header: Uint8Array) => Buffer.from(header).readUInt32BE(),
} satisfies RecordsOptions;

/** Records of the given sizes, each with its bytes from the start of the pattern. */
function encode(sizes: readonly number[]): Buffer {
  const pieces = sizes.flatMap((size) => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(size);
    return [header, pattern.slice(0, size)];
  });
  return Buffer.concat(pieces);
}

describeOverTransports('records()', (transport) => {
  expectNoLeaks();

  function expectRecord(
    record: StreamRecord,
    size: number,
    memory: Parameters<typeof contents>[1],
  ) {
    expect(PREFIXED.length(record.header)).toBe(size);
    expect(record.header).toHaveLength(4);
    expect(record.byteLength).toBe(size);
    expect(pattern.mismatch(0, contents(record, memory))).toBe(-1);
  }

  it('yields each record, wherever the stream is cut', async () => {
    const sizes = [0, 1, 5, 0, 0, 30, 2];
    const bytes = encode(sizes);
    for (let write = 1; write <= bytes.length; write++) {
      await using reading = await openReader(transport, { size: MiB });
      const { reader, peer, memory } = reading;
      const seen: number[] = [];
      const all = (async () => {
        for await (using record of reader.records(PREFIXED)) {
          expectRecord(record, sizes[seen.length]!, memory);
          seen.push(record.byteLength);
        }
      })();
      for (let at = 0; at < bytes.length; at += write) {
        peer.write(bytes.subarray(at, at + write));
        await immediate();
      }
      peer.end();
      await all;
      expect(seen).toEqual(sizes);
      expect(reader.position).toBe(bytes.length);
    }
  });

  it('yields large ones, which span batches, to several calls at once', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, memory } = reading;
    const sizes = [1, MiB, 3, 700_000, 0, 1_500_000, 9];
    const records = reader.records(PREFIXED);
    const calls = sizes.map(async (size) => {
      const { value } = await records.next();
      expectRecord(value!, size, memory);
      value!.release();
    });
    peer.end(encode(sizes));
    await Promise.all(calls);
    expect(await records.next()).toEqual({ done: true, value: undefined });
    expect(await records.next()).toEqual({ done: true, value: undefined });
  });

  it('yields tens of thousands out of what came at once', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    const count = 50_000;
    peer.end(encode(Array<number>(count).fill(4)));
    await reader.peek(MiB / 4);
    let seen = 0;
    for await (using record of reader.records(PREFIXED)) {
      for (const fragment of record) expect(fragment.view()).toHaveLength(fragment.size);
      seen++;
    }
    expect(seen).toBe(count);
  });

  it('leaves the stream behind the last record that the loop took', async () => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    peer.end(encode([10, 20, 30]));
    for await (using record of reader.records(PREFIXED)) {
      if (record.byteLength === 20) break;
    }
    expect(reader.position).toBe(38);
    expect(socket.closed).toBe(false);
    expect(PREFIXED.length(await reader.read(4))).toBe(30);
    await reader.skip(30);
  });

  it.for([
    { at: 1, in: 'a header' },
    { at: 13, in: 'a record' },
  ])('rejects where the stream ends inside $in, and leaves what came', async ({ at }) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    peer.end(Buffer.concat([encode([5]), encode([100]).subarray(0, at)]));
    const records = reader.records(PREFIXED);
    (await records.next()).value!.release();
    const error = await rejectionOf(records.next());
    expect(error).toMatchObject({ code: 'ERR_DEVMEM_UNEXPECTED_END', bytesRead: at });
    expect(error.message).toBe(`The stream ended after ${at} of ${at < 4 ? 4 : 104} bytes`);
    expect(await records.next()).toEqual({ done: true, value: undefined });
    expect(await reader.read(at)).toEqual(new Uint8Array(encode([100]).subarray(0, at)));
  });

  it('refuses a record longer than the limit, and leaves it there', async () => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    peer.write(encode([50, 51]));
    const records = reader.records({ ...PREFIXED, limit: 50 });
    (await records.next()).value!.release();
    const [first, second] = [records.next(), records.next()].map(rejectionOf);
    expect(await first).toMatchObject({
      code: 'ERR_DEVMEM_TOO_LONG',
      message: 'A record says that it has 51 bytes, and options.limit is 50',
    });
    expect(await second).toMatchObject({ code: 'ERR_DEVMEM_TOO_LONG' });
    expect(await records.next()).toEqual({ done: true, value: undefined });
    expect(PREFIXED.length(await reader.read(4))).toBe(51);
  });

  it('takes records as long as the memory may hold by default, and refuses longer ones', async () => {
    await using reading = await openReader(transport, { size: MiB, heldLimit: 256 * KiB });
    const { reader, peer, bound } = reading;
    const most = bound.binding.heldLimit - 4;
    const header = Buffer.alloc(4);
    header.writeUInt32BE(most + 1);
    peer.write(header);
    expect(await rejectionOf(reader.records(PREFIXED).next())).toMatchObject({
      code: 'ERR_DEVMEM_TOO_LONG',
    });
  });

  const WHY = new Error('a header that makes no sense');
  it.for<[string, (length: () => number) => () => unknown]>([
    ['NaN', () => () => NaN],
    ['-1', () => () => -1],
    ['1.5', () => () => 1.5],
    ['a bigint', () => () => 5n],
    ['undefined', () => () => undefined],
  ])('refuses %s for a length, and takes nothing', async ([, make]) => {
    await using reading = await openReader(transport);
    const { reader, peer } = reading;
    peer.write(encode([5]));
    const length = make(() => 5) as unknown as RecordsOptions['length'];
    const error = await rejectionOf(reader.records({ headerBytes: 4, length }).next());
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    expect(error.message).toContain('"what options.length returns" is out of range. It must be an');
    expect(PREFIXED.length(await reader.read(4))).toBe(5);
  });

  it.for(['at once', 'once it comes'])(
    'passes on what the length callback throws %s',
    async (when) => {
      await using reading = await openReader(transport);
      const { reader, peer } = reading;
      const length = (): number => {
        throw WHY;
      };
      if (when === 'at once') {
        peer.write(encode([5]));
        await reader.peek(9);
      }
      const records = reader.records({ headerBytes: 4, length });
      const calls = [records.next(), reader.records(PREFIXED).next()] as const;
      if (when !== 'at once') peer.write(encode([5]));
      expect(await rejectionOf(calls[0])).toBe(WHY);
      using record = (await calls[1]).value!;
      expect(record.byteLength).toBe(5);
    },
  );

  it.for(
    ['abort', 'releaseLock', 'destroy'].flatMap((how) => [
      [how, 'at once'],
      [how, 'once it comes'],
    ]),
  )('can be given up by the length callback: by %s, %s', async ([how, when]) => {
    await using reading = await openReader(transport);
    const { reader, peer, socket } = reading;
    const controller = new AbortController();
    const length = (header: Uint8Array): number => {
      if (how === 'abort') controller.abort(WHY);
      else if (how === 'destroy') socket.destroy(WHY);
      else reader.releaseLock();
      return PREFIXED.length(header);
    };
    if (when === 'at once') {
      peer.write(encode([5, 6]));
      await reader.peek(19);
    }
    const { signal } = controller;
    const calls = [
      reader.records({ headerBytes: 4, length, signal }).next(),
      reader.records(PREFIXED).next(),
    ];
    const [first, second] = calls.map((call) => call.catch((error: unknown) => error));
    if (when !== 'at once') peer.write(encode([5, 6]));
    expect(await first).toMatchObject(how === 'releaseLock' ? { code: 'ERR_DEVMEM_READER' } : WHY);
    if (how === 'abort') {
      const { value } = (await second) as { value: StreamRecord };
      expect(value.byteLength).toBe(5);
      value.release();
      expect(reader.position).toBe(9);
    } else {
      expect(await second).toBeInstanceOf(Error);
      expect(reader.position).toBe(0);
    }
  });
});
