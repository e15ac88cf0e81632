/** Calls of a reader at random, each with what it has to come to. */
import type { DmaBuf, Payload, ReadOptions, SocketReader } from 'devmem-tcp';
import type { Random } from '../../soak/random.mjs';
import { contents } from '../reading.js';
import { pattern } from '../stream.js';

/** What a call is for. */
export interface Wanted {
  name: string;
  /** Bytes that it takes where it begins at `start`; undefined where it has to refuse. */
  want: (start: number) => number | undefined;
  /** Whether what it has taken stays taken where it is given up. */
  asItComes: boolean;
  /** Whether all has to be there at once. */
  whole: boolean;
  make: (reader: SocketReader, options: ReadOptions) => Promise<unknown>;
  /** Throws unless the result is that of a call that began at `start`; how many bytes it has. */
  check: (result: unknown, start: number) => number;
}

/** What calls are made with. */
export interface Means {
  random: Random;
  /** Bytes that may be held. */
  most: number;
  /** What the socket receives into. */
  memory: DmaBuf;
  /** What is copied to. */
  target: DmaBuf;
  keep: (lease: Payload, position: number) => void;
}

/** Throws unless the bytes are those of the stream from `position` on. */
export function verify(bytes: Uint8Array, position: number): number {
  const wrong = pattern.mismatch(position, bytes);
  if (wrong === -1) return bytes.length;
  throw new Error(`byte ${wrong} of ${bytes.length} is not that at ${position + wrong}`);
}

export function drawCall(means: Means): Wanted {
  return MAKERS[means.random.weighted(KINDS)](means, drawSize(means));
}

// Up to three times what may be held, more often little.
function drawSize({ random, most }: Means): number {
  return random.chance(0.05) ? 0 : random.magnitude(1, 3 * most);
}

type Maker = (means: Means, size: number) => Wanted;

const KINDS = { take: 5, read: 4, peek: 2, skip: 2, readInto: 6, record: 3, readUntil: 1 };

const MAKERS: Readonly<Record<keyof typeof KINDS, Maker>> = {
  take: (means, size) => ({
    name: `take(${size})`,
    want: () => (size > means.most ? undefined : size),
    ...{ asItComes: false, whole: true },
    make: (reader, options) => reader.take(size, options),
    check: (result, start) => keep(means, result as Payload, start),
  }),

  read: (_means, size) => ({
    name: `read(${size})`,
    want: () => size,
    ...{ asItComes: false, whole: false },
    make: (reader, options) => reader.read(size, options),
    check: (result, start) => verify(result as Uint8Array, start),
  }),

  peek: ({ most }, size) => ({
    name: `peek(${size})`,
    want: () => (size === 0 || size > most ? undefined : 0),
    ...{ asItComes: false, whole: true },
    make: (reader, options) => reader.peek(size, options),
    check: (result, start) => verify(result as Uint8Array, start) * 0,
  }),

  skip: (_means, size) => ({
    name: `skip(${size})`,
    want: () => size,
    ...{ asItComes: true, whole: false },
    make: (reader, options) => reader.skip(size, options),
    check: () => size,
  }),

  readInto: (means, size) => {
    const { random, target } = means;
    const length = Math.min(size, target.size);
    const offset = random.int(0, target.size - length);
    // Several copies to one memory would write over each other.
    const array = new Uint8Array(length + 8).subarray(random.int(0, 8)).subarray(0, length);
    const own = random.chance(0.5);
    return {
      name: `readInto(${own ? 'an array' : `memory at ${offset}`}, ${length})`,
      want: () => length,
      ...{ asItComes: true, whole: false },
      make: async (reader, options) => {
        if (own) return { bytes: await reader.readInto(array, options), from: array };
        const bytes = await reader.readInto(target, { ...signalOf(options), offset, length });
        return { bytes, from: undefined };
      },
      check: (result, start) => {
        const { bytes, from } = result as { bytes: number; from: Uint8Array | undefined };
        if (from !== undefined) verify(from.subarray(0, bytes), start);
        return bytes;
      },
    };
  },

  record: (means, size) => {
    const { random, most } = means;
    const headerBytes = random.int(1, 12);
    const factor = Math.ceil(size / 256);
    const length = (header: Uint8Array): number => header[0]! * factor;
    const limit = random.chance(0.5) ? most - headerBytes : random.int(0, most - headerBytes);
    return {
      name: `record(${headerBytes}, factor ${factor}, limit ${limit})`,
      want: (start) => {
        const bytes = length(pattern.slice(start, headerBytes));
        return bytes > limit ? undefined : headerBytes + bytes;
      },
      ...{ asItComes: false, whole: true },
      make: async (reader, options) => {
        const all = { headerBytes, length, limit, ...signalOf(options) };
        return (await reader.records(all).next()).value;
      },
      check: (result, start) => {
        // The end, where no byte of a header came.
        if (result === undefined) return 0;
        const record = result as Payload & { header: Uint8Array };
        verify(record.header, start);
        return headerBytes + keep(means, record, start + headerBytes);
      },
    };
  },

  readUntil: ({ random, most }) => {
    const delimiter = pattern.slice(random.int(0, 1000), random.int(1, 2));
    const limit = random.magnitude(1, Math.min(most, 4096));
    return {
      name: `readUntil(${delimiter.join()}, limit ${limit})`,
      want: (start) => {
        const index = Buffer.from(pattern.slice(start, limit)).indexOf(delimiter);
        return index < 0 ? undefined : index + delimiter.length;
      },
      ...{ asItComes: false, whole: true },
      make: (reader, options) => reader.readUntil(delimiter, { ...signalOf(options), limit }),
      check: (result, start) => verify(result as Uint8Array, start),
    };
  },
};

function signalOf({ signal }: ReadOptions): ReadOptions {
  return signal === undefined ? {} : { signal };
}

function keep({ memory, keep }: Means, lease: Payload, start: number): number {
  verify(contents(lease, memory), start);
  const { byteLength } = lease;
  keep(lease, start);
  return byteLength;
}
