/** Reads one connection to its end into contiguous memory, and looks at every byte there. */
import { CudaError, type DevmemSocket, type DmaBuf, type SocketReader } from '../../../index.js';
import type { Pattern } from '../pattern.js';
import { type Counting, look, type Reading } from '../reader.js';
import type { Destination } from './destination.js';

// A stream that is slow is counted, and written, so often.
const PATIENCE_MS = 100;

export interface GatherOptions {
  into: Destination;
  /** What the stream is to be; undefined: nobody looks. */
  pattern: Pattern | undefined;
  /** Bytes that are wanted still, at least 1. */
  wanted: () => number;
}

/**
 * @param reading - counts up as bytes are there, also where this fails in the end
 * @param counting - is told of each piece
 */
export async function gatherStream(
  socket: DevmemSocket,
  { into, pattern, wanted }: GatherOptions,
  reading: Reading,
  counting: Counting,
): Promise<void> {
  const window = await into.windows.take();
  try {
    using reader = socket.reader();
    for (let at = 0, over = false; !over;) {
      const piece = await gatherPiece(reader, window, at, Math.min(wanted(), window.size - at));
      const { bytes } = piece;
      if (bytes > 0) {
        if (pattern === undefined) reading.bytes += bytes;
        else look(pattern, reading, bytesOf(window, at, bytes));
        counting.came(bytes);
        await into.take(window, at, bytes);
        counting.taken();
      }
      if (piece.error !== undefined) throw piece.error;
      over = piece.over;
      at = (at + bytes) % window.size;
    }
  } finally {
    into.windows.giveBack(window);
  }
}

interface Piece {
  /** Bytes that are there. */
  bytes: number;
  /** Whether the stream is. */
  over: boolean;
  error?: Error;
}

async function gatherPiece(
  reader: SocketReader,
  window: DmaBuf,
  offset: number,
  length: number,
): Promise<Piece> {
  const before = reader.position;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const bytes = await reader.readInto(window, { offset, length, signal: patience.signal });
    return { bytes, over: bytes < length };
  } catch (error) {
    // Of what failed in being copied, nobody knows what is there.
    const bytes = error instanceof CudaError ? 0 : reader.position - before;
    if (error === patience.signal.reason) return { bytes, over: false };
    return { bytes, over: true, error: error as Error };
  } finally {
    clearTimeout(timer);
  }
}

function bytesOf(window: DmaBuf, offset: number, size: number): Uint8Array {
  // A GPU's comes here by a copy.
  if (window.type === 'cuda') return window.read(offset, size);
  return window.map().subarray(offset, offset + size);
}
