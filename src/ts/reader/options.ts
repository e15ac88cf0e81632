/** Options of a reader's calls, and their checks. */
import { constants } from 'node:buffer';
import { constants as osConstants } from 'node:os';
import { types } from 'node:util';

import { checkAbortSignal } from '../abort.js';
import {
  checkInteger,
  checkObject,
  invalidArgType,
  invalidArgValue,
  systemError,
} from '../errors.js';

/** What all of a reader's calls take. */
export interface ReadOptions {
  /** Gives up when aborted, and rejects with the signal's reason. Nothing is lost by it. */
  signal?: AbortSignal;
}

/** Options of `SocketReader.readUntil()`. */
export interface ReadUntilOptions extends ReadOptions {
  /** Bytes within which the delimiter has to end, 1 to the binding's `heldLimit`. Default: 65536. */
  limit?: number;
}

/** Options of `SocketReader.readInto()`. */
export interface ReadIntoOptions extends ReadOptions {
  /** Where in the target the bytes go, in bytes from its start. Default: 0. */
  offset?: number;
  /** How many bytes, from 0 on. Default: as many as the target has from `offset` on. */
  length?: number;
}

/** Options of `SocketReader.records()`. */
export interface RecordsOptions extends ReadOptions {
  /** Bytes of a record's header, 1 to 65536. */
  headerBytes: number;
  /** How many bytes follow a header, 0 or more. */
  length: (header: Uint8Array) => number;
  /**
   * What `length` may say at most, in bytes. Default, and the most: what the bindings may
   * hold (`heldLimit`) with the header.
   */
  limit?: number;
}

/** @throws TypeError unless they are options with a signal, if any */
export function checkReadOptions(options: ReadOptions): AbortSignal | undefined {
  checkObject('options', options);
  const { signal } = options;
  return signal === undefined ? undefined : checkAbortSignal('options.signal', signal);
}

/** @throws TypeError unless it is a string or bytes, not empty */
export function checkDelimiter(delimiter: string | Uint8Array): Uint8Array {
  const bytes = typeof delimiter === 'string' ? Buffer.from(delimiter) : delimiter;
  if (!types.isUint8Array(bytes)) {
    throw invalidArgType('delimiter', 'a string or a Uint8Array', delimiter);
  }
  if (bytes.length === 0) throw invalidArgValue('delimiter', 'one byte at least', delimiter);
  // It may change while it is looked for.
  return Uint8Array.from(bytes);
}

const MOST_HEADER_BYTES = 65536;

export type CheckedRecordsOptions = Required<Omit<RecordsOptions, 'signal'>>;

/** @throws TypeError, RangeError for what makes no sense */
export function checkRecordsOptions(options: RecordsOptions, most: number): CheckedRecordsOptions {
  const { headerBytes, length } = options;
  checkInteger('options.headerBytes', headerBytes, 1, Math.min(MOST_HEADER_BYTES, most));
  const { limit = most - headerBytes } = options;
  checkInteger('options.limit', limit, 0, most - headerBytes);
  if (typeof length !== 'function') throw invalidArgType('options.length', 'a function', length);
  return { headerBytes, length, limit };
}

const { MAX_LENGTH } = constants;
const { ENOMEM } = osConstants.errno;

/** @throws RangeError, also where there is no memory for it */
export function makeArray(bytes: number): Uint8Array<ArrayBuffer> {
  checkInteger('bytes', bytes, 0, MAX_LENGTH);
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw systemError(-ENOMEM, 'read', {
      subject: `an array of ${bytes} bytes`,
      hint: 'Read fewer bytes at once',
      cause,
    });
  }
}
