/** Options of sockets, however they come to be. */
import { checkAbortSignal } from '../abort.js';
import { checkInteger, checkUint8Array, invalidArgType, outOfRange } from '../errors.js';

// What SO_RCVLOWAT holds.
const MAX_LOW_WATER_MARK = 2 ** 31 - 1;

/** What all connections take, accepted, made or adopted. */
export interface SocketOptions {
  /** Closes the socket when aborted; pending reads reject with the signal's reason. */
  signal?: AbortSignal;
  /**
   * Bytes that came before and are in nobody's buffer any more, such as the `head` of
   * http's 'upgrade' and 'connect' events: the stream begins with them.
   */
  head?: Uint8Array;
  /** As `setLowWaterMark()`, from the stream's start: reads at every so many bytes. Default 1. */
  lowWaterMark?: number;
  /**
   * How long `close()` waits for the peer in vain, in milliseconds: first for it to take
   * more of what was written, then for it to end its own direction. 0: not at all;
   * Infinity: without limit. Default: 2000.
   */
  closeTimeout?: number;
}

/** @throws TypeError, RangeError unless it can be a low-water mark, in bytes. */
export function checkLowWaterMark(name: string, bytes: unknown): number {
  return checkInteger(name, bytes, 1, MAX_LOW_WATER_MARK);
}

/**
 * The options, of those given, that concern a socket.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, RangeError ERR_OUT_OF_RANGE
 */
export function checkSocketOptions(options: SocketOptions): SocketOptions {
  const checked: SocketOptions = {};
  const { signal, head, lowWaterMark, closeTimeout } = options;
  if (signal !== undefined) checked.signal = checkAbortSignal('options.signal', signal);
  if (head !== undefined) checked.head = checkUint8Array('options.head', head);
  if (lowWaterMark !== undefined) {
    checked.lowWaterMark = checkLowWaterMark('options.lowWaterMark', lowWaterMark);
  }
  if (closeTimeout !== undefined) checked.closeTimeout = checkCloseTimeout(closeTimeout);
  return checked;
}

// What a timer holds.
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

function checkCloseTimeout(ms: unknown): number {
  if (typeof ms !== 'number') throw invalidArgType('options.closeTimeout', 'a number', ms);
  if (ms === Infinity || (ms >= 0 && ms <= MAX_TIMEOUT_MS)) return ms;
  throw outOfRange('options.closeTimeout', `>= 0 and <= ${MAX_TIMEOUT_MS}, or Infinity`, ms);
}
