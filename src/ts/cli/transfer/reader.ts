/** Reads one connection to its end, and looks at every byte where that is wanted. */
import type { Batch, DevmemSocket, DmaBuf } from '../../index.js';
import type { Pattern } from './pattern.js';

export interface Reading {
  bytes: number;
  /** Position of the first byte that is not the pattern's, or -1. */
  firstWrong: number;
}

/**
 * @param pattern - what the stream is to be; undefined: nobody looks
 * @param onBytes - called after each batch with its bytes
 * @param reading - counts up as bytes are read, also where this fails in the end
 */
export async function readStream(
  socket: DevmemSocket,
  pattern: Pattern | undefined,
  reading: Reading,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const look = pattern && looker(socket.binding.memory, pattern, reading);
  for await (const batch of socket.batches()) {
    try {
      const bytes = batch.byteLength;
      if (look === undefined) reading.bytes += bytes;
      else look(batch);
      onBytes(bytes);
    } finally {
      batch.release();
    }
  }
}

function looker(memory: DmaBuf, pattern: Pattern, reading: Reading): (batch: Batch) => void {
  const look = (bytes: Uint8Array): void => {
    const at = pattern.mismatch(reading.bytes, bytes);
    if (at !== -1 && reading.firstWrong === -1) reading.firstWrong = reading.bytes + at;
    reading.bytes += bytes.length;
  };
  // Memory of a GPU comes here piece by piece.
  if (memory.type === 'cuda') {
    return (batch) => batch.forEach((offset, size) => look(memory.read(offset, size)), look);
  }
  const view = memory.map();
  return (batch) => {
    memory.cpuAccess(() => {
      batch.forEach((offset, size) => look(view.subarray(offset, offset + size)), look);
    });
  };
}
