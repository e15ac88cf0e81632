/** What errors say of how a connection was closed. */
import { DevmemError, withCode } from '../errors.js';

/** close() waited for a peer in vain. */
export function closeTimedOut(ms: number): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_CLOSE_TIMEOUT',
    `close() reset the connection: for ${ms} ms the peer took nothing of what was still to be sent. Wait for 'finish' of \`writable\` before close(), or raise \`closeTimeout\``,
  );
}

/** Somebody took the net.Socket away. */
export function destroyedBelow(): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_CLOSED',
    'The net.Socket was destroyed by somebody else than its DevmemSocket. End the connection with close() or destroy() of the latter',
  );
}

/** destroy() came before the kernel had all of what was written. */
export function cutOff(): Error {
  const error = new Error('The connection was destroyed before all was written');
  return withCode(error, 'ERR_STREAM_DESTROYED');
}

// Those that tell no more than that a stream was closed.
const CODES: ReadonlySet<unknown> = new Set([
  'ERR_STREAM_ALREADY_FINISHED',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_WRITE_AFTER_END',
]);

// Node's own and the web's, of which the code is a number.
const NAMES: ReadonlySet<unknown> = new Set(['AbortError', 'TimeoutError']);

interface Wrapping {
  name?: unknown;
  code?: unknown;
  cause?: unknown;
  /** Of an AggregateError. */
  errors?: unknown;
  /** Of a SuppressedError: what was thrown first, and what disposing threw after it. */
  suppressed?: unknown;
  error?: unknown;
}

/**
 * Whether an error is one of those by which Node's streams, and who waits for them, tell
 * that a stream was closed or given up: itself, by its cause, or all that it is made of.
 */
export function tellsOfClosing(error: unknown): boolean {
  // One can be in several places, and causes can go round in circles.
  const known = new Map<unknown, boolean>();
  const tells = (value: unknown): boolean => {
    if (typeof value !== 'object' || value === null) return false;
    let told = known.get(value);
    if (told === undefined) {
      known.set(value, false);
      told = tellsItself(value) || madeOf(value).some((all) => all.length > 0 && all.every(tells));
      known.set(value, told);
    }
    return told;
  };
  return tells(error);
}

function tellsItself({ code, name }: Wrapping): boolean {
  return CODES.has(code) || NAMES.has(name);
}

// What an error comes of, in one way or another.
function madeOf(error: Wrapping): unknown[][] {
  const { cause, errors } = error;
  const several = Array.isArray(errors) ? (errors as unknown[]) : [];
  const disposing = 'suppressed' in error ? [error.suppressed, error.error] : [];
  return [[cause], several, disposing];
}
