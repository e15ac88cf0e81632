/**
 * Abort signals of this realm, of another one (a `vm` context, a test runner's) or of a
 * library: told by what they can do, not by their class.
 */
import { invalidArgType } from './errors.js';

/** @throws TypeError unless `value` is an AbortSignal. */
export function checkAbortSignal(name: string, value: unknown): AbortSignal {
  if (!isAbortSignal(value)) throw invalidArgType(name, 'an AbortSignal', value);
  return value;
}

function isAbortSignal(value: unknown): value is AbortSignal {
  const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' &&
    typeof addEventListener === 'function' &&
    typeof removeEventListener === 'function'
  );
}

/** Why it was aborted. */
export function abortReason(signal: AbortSignal): Error {
  // Signals that are older than reasons have none.
  return (
    (signal.reason as Error | undefined) ??
    new DOMException('This operation was aborted', 'AbortError')
  );
}

/** @throws the signal's reason, where it was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}

/**
 * Calls back when the signal is aborted: at once, where it was before.
 *
 * @returns what ends that: a signal may outlive what it aborts
 */
export function onAbort(
  signal: AbortSignal | undefined,
  callback: (reason: Error) => void,
): () => void {
  if (signal === undefined) return () => {};
  const listener = (): void => {
    callback(abortReason(signal));
  };
  if (signal.aborted) {
    listener();
    return () => {};
  }
  signal.addEventListener('abort', listener, { once: true });
  return () => {
    signal.removeEventListener('abort', listener);
  };
}

/**
 * What a promise resolves with, unless the signal is aborted first.
 *
 * @throws the signal's reason; what the promise rejects with
 */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  promise: Promise<T>,
): Promise<T> {
  let ignore: (() => void) | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      ignore = onAbort(signal, reject);
      promise.then(resolve, reject);
    });
  } finally {
    ignore?.();
  }
}
