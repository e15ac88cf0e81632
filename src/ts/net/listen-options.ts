/** Where a server listens. */
import type net from 'node:net';

import { checkAbortSignal } from '../abort.js';
import {
  checkInteger,
  checkLeftOut,
  checkObject,
  invalidArgType,
  invalidArgValue,
} from '../errors.js';

/** Options of `DevmemServer.listen()`: those of `net.Server.listen()` for TCP, and these. */
export interface ListenOptions extends Omit<
  net.ListenOptions,
  'handle' | 'path' | 'readableAll' | 'signal' | 'writableAll'
> {
  /** Closes the server, and all its sockets, when aborted. */
  signal?: AbortSignal;
}

export interface CheckedListenOptions {
  netOptions: net.ListenOptions;
  signal: AbortSignal | undefined;
}

// What listen(2) takes.
const MAX_BACKLOG = 2 ** 31 - 1;

const REFUSED: ReadonlyMap<string, string> = new Map([
  ['path', 'only TCP connections receive into a binding. Give port, and host'],
  ['fd', 'the server opens a socket of its own. Give port, and host'],
  ['handle', 'the server opens a socket of its own. Give port, and host'],
]);

/**
 * One object of options, whether it is that or `port, host, backlog` or `port, backlog`.
 *
 * @throws TypeError ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, RangeError ERR_OUT_OF_RANGE
 */
export function checkListenOptions(...args: unknown[]): CheckedListenOptions {
  if (args.some((each) => typeof each === 'function')) {
    const expected = 'left out: await the promise that listen() returns';
    throw invalidArgValue('callback', expected, args.at(-1));
  }
  const { signal, ...options } = toOptions(args);
  checkLeftOut(options, REFUSED);
  return {
    netOptions: { ...options, port: options.port ?? 0 },
    signal: signal === undefined ? undefined : checkAbortSignal('options.signal', signal),
  };
}

function toOptions([first, second, third]: readonly unknown[]): ListenOptions {
  if (first === undefined) return {};
  // A path is what net.Server would take a string for.
  if (typeof first === 'string') throw invalidArgType('port', 'a number, or options', first);
  if (typeof first !== 'number') return checkObject('options', first);
  const [host, backlog] = typeof second === 'number' ? [undefined, second] : [second, third];
  if (host !== undefined && typeof host !== 'string')
    throw invalidArgType('host', 'a string', host);
  return {
    port: first,
    ...(host !== undefined && { host }),
    ...(backlog !== undefined && { backlog: checkInteger('backlog', backlog, 0, MAX_BACKLOG) }),
  };
}
