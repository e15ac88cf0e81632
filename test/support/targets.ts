/** Places of every kind that a reader can copy to. */
import { existsSync } from 'node:fs';

import { DmaBuf, type Target } from 'devmem-tcp';

/** A place to copy to, and what is there. */
export interface Placed extends AsyncDisposable {
  target: Target;
  bytes(): Uint8Array;
}

type Make = (size: number) => Promise<Placed>;

export const TARGETS: Readonly<Record<string, Make>> = {
  'a Uint8Array': (size) => array(new Uint8Array(size)),
  'a Buffer': (size) => array(Buffer.alloc(size)),
  'a part of an array': (size) => array(new Uint8Array(size + 300).subarray(77, 77 + size)),
  'an array over shared memory': (size) =>
    array(new Uint8Array(new SharedArrayBuffer(size + 5), 5)),
  'an array that may change its length': (size) => array(new Uint8Array(resizable(size))),
  'memory of type host': (size) => memory('host', size),
  ...(existsSync('/dev/udmabuf') && {
    'memory of type udmabuf': (size: number) => memory('udmabuf', size),
  }),
};

if (!existsSync('/dev/udmabuf')) {
  console.warn("skipped: targets of type udmabuf, as there is no /dev/udmabuf; 'modprobe udmabuf'");
}

// Memory is of whole pages, and no less than this, in bytes.
const PAGE = 4096;
const LEAST = 65536;

/** An ArrayBuffer with resize(), which the types do not know. */
export interface Resizable extends ArrayBuffer {
  resize(bytes: number): void;
}

export function resizable(size: number): Resizable {
  const Internal = ArrayBuffer as unknown as new (size: number, options: object) => Resizable;
  return new Internal(size, { maxByteLength: 2 * size });
}

/** Takes an array's memory away. */
export function transfer(array: Uint8Array): void {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
}

function array(target: Uint8Array): Promise<Placed> {
  const nothing = (): Promise<void> => Promise.resolve();
  return Promise.resolve({ target, bytes: () => target, [Symbol.asyncDispose]: nothing });
}

async function memory(type: 'host' | 'udmabuf', bytes: number): Promise<Placed> {
  const size = Math.max(Math.ceil(bytes / PAGE) * PAGE, LEAST);
  const target = await DmaBuf.allocate({ type, size });
  return {
    target,
    bytes: () => target.read(0, target.size),
    [Symbol.asyncDispose]: () => target.close(),
  };
}
