/** What is wrong with a use of memory, in words. */
import { constants } from 'node:buffer';

import { DevmemError } from '../errors.js';
import type { BackingType } from './backing.js';

const { MAX_LENGTH } = constants;

/** Memory, as far as errors tell of it. */
interface Described {
  readonly type: BackingType;
  readonly isDmaBuf: boolean;
  readonly exporter: string | undefined;
}

export function closedError(): DevmemError {
  return new DevmemError('ERR_DEVMEM_CLOSED', 'The memory was closed: allocate anew');
}

export function notMappable({ type }: { type: BackingType }): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_NOT_MAPPABLE',
    `The CPU cannot see memory of type '${type}': copy what is needed by read(), or use it on the device at devicePtr`,
  );
}

/** Where mmap failed. */
export function mapError({ type, isDmaBuf, exporter }: Described, cause: Error): Error {
  if (type !== 'import' || !isDmaBuf) return cause;
  return new DevmemError(
    'ERR_DEVMEM_NOT_MAPPABLE',
    `The CPU cannot see this dma-buf (exporter '${exporter ?? 'unknown'}'): ${cause.message}. Read it by the library that made it, or import one whose exporter implements mmap, opened for reading and writing`,
    { cause },
  );
}

export function noIpc(type: BackingType): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_WRONG_MEMORY',
    `CUDA's IPC is for memory of type 'cuda' that this process allocated, and this is of type '${type}': send its descriptor, by sendFd() or handOff()`,
  );
}

export function tooLargeToMap(size: number): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_NOT_MAPPABLE',
    `The memory has ${size} bytes, and an ArrayBuffer has ${MAX_LENGTH} at most in Node.js ${process.versions.node}: copy what is needed by read(), allocate several memories in place of one, or use Node.js 22 or newer`,
  );
}
