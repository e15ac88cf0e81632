/** Copying where devmem cannot be had: when that is an answer, and telling of it. */
import { channel } from 'node:diagnostics_channel';

import { DevmemError, isSystemError } from '../errors.js';
import { failedWith } from './ioctl/call.js';

/** Published on the diagnostics channel `devmem-tcp:fallback`. */
export interface FallbackMessage {
  /** The interface that was asked for, if any. */
  interface: string | undefined;
  /** Why devmem could not be had: the `fallback` of the binding. */
  reason: Error;
}

const fallbackChannel = channel('devmem-tcp:fallback');

let warned = false;

/**
 * Whether to copy after an error. Not where the caller names an interface or a queue
 * that is not there: whoever mistypes it would go on, and wonder at the speed.
 */
export function allowsCopying(error: unknown): error is Error {
  if (failedWith(error, 'ENODEV', 'ERANGE')) return false;
  return isSystemError(error) || error instanceof DevmemError;
}

/** Tells of a binding that copies: whoever listens each time, and once the process. */
export function tellFallback(message: FallbackMessage): void {
  if (fallbackChannel.hasSubscribers) fallbackChannel.publish(message);
  // Who names no interface asks for nothing else.
  if (warned || message.interface === undefined) return;
  warned = true;
  process.emitWarning(`Receiving by copying, without devmem: ${message.reason.message}`, {
    type: 'DevmemFallbackWarning',
    code: 'DEVMEM_FALLBACK',
  });
}
