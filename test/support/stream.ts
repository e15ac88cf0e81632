/** Streams of the pattern: sending them, and reading them with every byte looked at. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';

import type { Batch, DevmemSocket, DmaBuf, Fragment } from 'devmem-tcp';
import { Pattern } from '../../dist/cli/transfer/pattern.js';

const PIECE = 256 * 1024;

export const pattern = new Pattern(1);

/** Writes a stretch of the pattern as fast as the stream takes it. */
export async function send(to: Writable, bytes: number, position = 0): Promise<void> {
  for (let sent = 0; sent < bytes; sent += PIECE) {
    const piece = pattern.slice(position + sent, Math.min(PIECE, bytes - sent));
    if (!to.write(piece)) await once(to, 'drain');
  }
}

/** Looks at a stream piece by piece. */
export class Verifier {
  /** Bytes seen. */
  bytes = 0;
  readonly #start: number;

  constructor(start = 0) {
    this.#start = start;
  }

  look(piece: Uint8Array): void {
    const wrong = pattern.mismatch(this.#start + this.bytes, piece);
    if (wrong !== -1) throw new Error(`byte ${this.bytes + wrong} of the stream is wrong`);
    this.bytes += piece.length;
  }
}

/** The bytes of a fragment, wherever they lie. */
export function bytesOf(fragment: Fragment, memory: DmaBuf): Uint8Array {
  return fragment.bytes ?? memory.map().subarray(fragment.offset, fragment.offset + fragment.size);
}

/** The bytes of a batch, piece by piece. */
export function eachPiece(batch: Batch, memory: DmaBuf, look: (piece: Uint8Array) => void): void {
  const view = memory.map();
  batch.forEach((offset, size) => look(view.subarray(offset, offset + size)), look);
}

export type ReadMode = 'fragments' | 'batches';

/** Reads to the end, gives all back, and returns how many right bytes came. */
export async function readPattern(
  socket: DevmemSocket,
  mode: ReadMode = 'batches',
  position = 0,
): Promise<number> {
  const verifier = new Verifier(position);
  const { memory } = socket.binding;
  if (mode === 'fragments') {
    for await (using fragment of socket) verifier.look(bytesOf(fragment, memory));
  } else {
    for await (using batch of socket.batches()) {
      eachPiece(batch, memory, (piece) => verifier.look(piece));
    }
  }
  return verifier.bytes;
}

/** Reads to the end and returns all bytes as text: for short streams. */
export async function readText(socket: DevmemSocket): Promise<string> {
  const pieces: Buffer[] = [];
  for await (using fragment of socket) {
    pieces.push(Buffer.from(bytesOf(fragment, socket.binding.memory)));
  }
  return Buffer.concat(pieces).toString();
}

/** Takes the next fragment of an iterator that has one. */
export async function take<T>(iterator: AsyncIterator<T, undefined>): Promise<T> {
  const { done, value } = await iterator.next();
  if (done === true) throw new Error('the stream ended early');
  return value;
}
