/** Looking at what a reader gives: each byte has to be that of its place in the stream. */
import { setImmediate as immediate } from 'node:timers/promises';

import { expect } from 'vitest';

import type { DevmemSocket, DmaBuf, Payload, SocketReader, TransportName } from 'devmem-tcp';
import { openPair, type Pair } from './peers.js';
import { pattern } from './stream.js';
import { bind, type Bound, type BoundOptions } from './transports.js';

/** A connection that is read by a reader; all of it closes together. */
export interface Reading extends AsyncDisposable {
  bound: Bound;
  memory: DmaBuf;
  pair: Pair;
  socket: DevmemSocket;
  peer: Pair['peer'];
  reader: SocketReader;
}

export async function openReader(
  transport: TransportName,
  options: BoundOptions = {},
): Promise<Reading> {
  const bound = await bind(transport, options);
  const pair = await openPair(bound.binding);
  const { socket, peer } = pair;
  peer.setNoDelay(true);
  return {
    ...{ bound, memory: bound.memory, pair, socket, peer, reader: socket.reader() },
    async [Symbol.asyncDispose]() {
      await pair[Symbol.asyncDispose]();
      // Single releases count at the end of the turn.
      await immediate();
      expect(bound.binding.heldBytes).toBe(0);
      await bound[Symbol.asyncDispose]();
    },
  };
}

type Pieces = (payload: Payload, memory: DmaBuf) => Uint8Array[];

/** Every way to come by the bytes of a batch or span. */
export const WAYS: Readonly<Record<string, Pieces>> = {
  'forEach()': (payload, memory) => {
    const pieces: Uint8Array[] = [];
    const add = (bytes: Uint8Array, index: number): void => {
      expect(index).toBe(pieces.length);
      pieces.push(bytes);
    };
    payload.forEach((offset, size, _id, index) => {
      add(memory.map().subarray(offset, offset + size), index);
    }, add);
    expect(pieces.length).toBe(payload.length);
    return pieces;
  },
  iteration: (payload, memory) =>
    [...payload].map(
      ({ bytes, offset, size }) => bytes ?? memory.map().subarray(offset, offset + size),
    ),
  'view()': (payload) => [...payload].map((fragment) => fragment.view()),
  'runs()': (payload, memory) =>
    payload
      .runs()
      .map(({ bytes, offset, size }) => bytes ?? memory.map().subarray(offset, offset + size)),
};

/** The bytes of a batch or span, the same whichever way they are looked at. */
export function contents(payload: Payload, memory: DmaBuf): Buffer {
  const [first, ...others] = Object.values(WAYS).map((way) => Buffer.concat(way(payload, memory)));
  for (const other of others) expect(other.equals(first!)).toBe(true);
  expect(first!.length).toBe(payload.byteLength);
  return first!;
}

/** Fails unless these are the bytes of the pattern from `position` on. */
export function expectPattern(bytes: Uint8Array, position: number): void {
  const wrong = pattern.mismatch(position, bytes);
  expect(wrong, `byte ${wrong} of ${bytes.length}, at ${position} of the stream`).toBe(-1);
}

/** Fails unless it holds just so many bytes, those of the pattern from `position` on. */
export function expectSpan(span: Payload, memory: DmaBuf, position: number, bytes: number): void {
  expect(span.byteLength).toBe(bytes);
  expectPattern(contents(span, memory), position);
}

/**
 * Has the peer send pieces of the pattern from its byte `position` on, each of which comes by
 * itself; resolves once all are there, and nothing was taken.
 */
export async function deliver(
  { peer, reader }: Pick<Reading, 'peer' | 'reader'>,
  sizes: readonly number[],
  position = 0,
): Promise<void> {
  let sent = 0;
  for (const size of sizes) {
    peer.write(pattern.slice(position + sent, size));
    sent += size;
    await reader.peek(sent);
  }
}
