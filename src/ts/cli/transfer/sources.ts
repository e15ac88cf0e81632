/** What is sent: bytes of a pattern, of a file, or of stdin. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';

import type { Pattern } from './pattern.js';

const PIECE = 256 * 1024;

/** Makes the stream of one connection. */
export type Source = () => Readable;

/** Without end. */
export function patternSource(pattern: Pattern): Source {
  function* pieces(): Generator<Buffer> {
    for (let position = 0; ; position += PIECE) yield pattern.slice(position, PIECE);
  }
  return () => Readable.from(pieces());
}

/** A file from its beginning, for each connection anew. */
export function fileSource(path: string): Source {
  return () => createReadStream(path, { highWaterMark: PIECE });
}

/** For one connection only. */
export function stdinSource(): Source {
  return () => process.stdin;
}

/**
 * A stream's bytes up to a limit, or to the moment at which it is stopped.
 *
 * @param onBytes - called with the size of each piece
 */
export async function* limited(
  stream: Readable,
  bytes: number | undefined,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let left = bytes ?? Infinity;
  const stop = (): void => void stream.destroy();
  signal.addEventListener('abort', stop);
  try {
    for await (const read of stream as AsyncIterable<Buffer>) {
      const piece = read.length > left ? read.subarray(0, left) : read;
      left -= piece.length;
      onBytes(piece.length);
      yield piece;
      if (left <= 0 || signal.aborted) return;
    }
  } catch (error) {
    // Destroyed because it was told to end, the stream complains of that.
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
