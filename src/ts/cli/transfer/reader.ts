/** Reads one connection to its end, and looks at every byte where that is wanted. */
import type { Batch, DevmemSocket, DmaBuf } from '../../index.js';
import type { Pattern } from './pattern.js';

export interface Reading {
  bytes: number;
  /** Position of the first byte that is not the pattern's, or -1. */
  firstWrong: number;
}

/** Who counts the bytes of all connections. */
export interface Counting {
  came(bytes: number): void;
  /** What came is where it is to be, such as in a file. */
  taken(): void;
}

/**
 * @param pattern - what the stream is to be; undefined: nobody looks
 * @param counting - is told of each batch
 * @param reading - counts up as bytes are read, also where this fails in the end
 */
export async function readStream(
  socket: DevmemSocket,
  pattern: Pattern | undefined,
  reading: Reading,
  counting: Counting,
): Promise<void> {
  const see = pattern && looker(socket.binding.memory, pattern, reading);
  for await (const batch of socket.batches()) {
    try {
      const bytes = batch.byteLength;
      if (see === undefined) reading.bytes += bytes;
      else see(batch);
      counting.came(bytes);
      counting.taken();
    } finally {
      batch.release();
    }
  }
}

/** Compares the next bytes of a stream with the pattern, and counts them. */
export function look(pattern: Pattern, reading: Reading, bytes: Uint8Array): void {
  const at = pattern.mismatch(reading.bytes, bytes);
  if (at !== -1 && reading.firstWrong === -1) reading.firstWrong = reading.bytes + at;
  reading.bytes += bytes.length;
}

function looker(memory: DmaBuf, pattern: Pattern, reading: Reading): (batch: Batch) => void {
  const see = (bytes: Uint8Array): void => {
    look(pattern, reading, bytes);
  };
  // Memory of a GPU comes here piece by piece.
  if (memory.type === 'cuda') {
    return (batch) => batch.forEach((offset, size) => see(memory.read(offset, size)), see);
  }
  const view = memory.map();
  return (batch) => {
    memory.cpuAccess(() => {
      batch.forEach((offset, size) => see(view.subarray(offset, offset + size)), see);
    });
  };
}
