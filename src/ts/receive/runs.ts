import type { LinearRun, Payload, Run } from './payload.js';

/** The runs of one payload, or of several that follow each other. */
export function runsOf(payloads: Iterable<Payload>): Run[] {
  const runs: Run[] = [];
  let last: Run | undefined;
  const onDevice = (offset: number, size: number, dmabufId: number): void => {
    if (
      last?.offset !== undefined &&
      last.dmabufId === dmabufId &&
      last.offset + last.size === offset
    ) {
      last.size += size;
    } else {
      runs.push((last = { offset, size, dmabufId, bytes: undefined }));
    }
  };
  const onLinear = (bytes: Uint8Array): void => {
    if (last?.bytes !== undefined && follows(last.bytes, bytes)) extend(last, bytes);
    else runs.push((last = { offset: undefined, size: bytes.length, dmabufId: 0, bytes }));
  };
  for (const payload of payloads) payload.forEach(onDevice, onLinear);
  return runs;
}

function follows(before: Uint8Array, bytes: Uint8Array): boolean {
  return before.buffer === bytes.buffer && before.byteOffset + before.length === bytes.byteOffset;
}

function extend(run: LinearRun, { buffer, length }: Uint8Array): void {
  run.bytes = Buffer.from(buffer as ArrayBuffer, run.bytes.byteOffset, run.size + length);
  run.size += length;
}
