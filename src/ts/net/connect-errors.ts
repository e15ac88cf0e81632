/** Why connecting failed. */
import { constants } from 'node:os';

import { type SystemError, systemError } from '../errors.js';

/** What Node's errors of connect() tell besides. */
interface Endpoint {
  address?: string;
  port?: number;
}

/** For the time that the caller gave. */
export function connectTimedOut(host: string, port: number, ms: number): SystemError & Endpoint {
  const error = systemError(-constants.errno.ETIMEDOUT, 'connect', {
    subject: `${host}:${port} not reached in the ${ms} ms of options.timeout`,
    hint: 'Allow more, or see whether the host is up and lets the port through',
  });
  return Object.assign(error, { address: host, port });
}

/**
 * The error with words. Where all addresses of a name refused, Node's has none: its errors
 * say it, one for each address.
 */
export function inWords(error: unknown): unknown {
  if (!(error instanceof AggregateError) || error.message !== '') return error;
  const errors = error.errors as SystemError[];
  const [first] = errors;
  if (first === undefined) return error;
  const message = errors.map((each) => each.message).join('; ');
  const { code, errno, syscall } = first;
  return Object.assign(new AggregateError(errors, message), { code, errno, syscall });
}
