/** What users write for sizes, counts and addresses. */
import { isRelease } from '../kernel-version.js';
import { expectedInterfaceName } from '../nic/interface-name.js';
import { UsageError } from './command.js';
import { parseBytes } from './format.js';
import { type Pattern, parsePattern } from './transfer/pattern.js';

export interface Endpoint {
  /** Undefined: every address of this machine. */
  host: string | undefined;
  port: number;
}

/** One that can be connected to. */
export type RemoteEndpoint = Endpoint & { host: string };

/** What the text of an option says, where it was given. */
export function given<T>(text: string | undefined, parse: (text: string) => T): T | undefined {
  return text === undefined ? undefined : parse(text);
}

/** iperf's and ncdevmem's too. */
export const DEFAULT_PORT = 5201;

/** The highest number of a GPU. */
export const MAX_DEVICE = 1023;

/** `PORT`, `HOST`, `HOST:PORT`, `[IPv6]:PORT`, `:PORT`; undefined if it is none of these. */
export function splitEndpoint(
  text: string,
): { host: string | undefined; port: number | undefined } | undefined {
  const match = /^(?:(\d+)|(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d+))?)$/.exec(text);
  if (match === null || text === '') return undefined;
  const [, bare, ipv6, name, suffix] = match;
  const digits = bare ?? suffix;
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && port > 0xffff) return undefined;
  const host = ipv6 ?? name;
  return { host: host === '' || host === '*' ? undefined : host, port };
}

/** @throws UsageError */
export function parseEndpoint(option: string, text: string): Endpoint {
  const endpoint = splitEndpoint(text);
  if (endpoint !== undefined) return { ...endpoint, port: endpoint.port ?? DEFAULT_PORT };
  throw new UsageError(
    `${option} must be HOST:PORT, [ADDRESS]:PORT for IPv6, with a port up to 65535, not '${text}'`,
  );
}

/** @throws UsageError also where no host is named */
export function parseRemote(option: string, text: string): RemoteEndpoint {
  const { host, port } = parseEndpoint(option, text);
  if (host === undefined) throw new UsageError(`${option} '${text}' names no host`);
  return { host, port };
}

/** @throws UsageError unless an interface can have that name */
export function parseInterface(option: string, text: string): string {
  const expected = expectedInterfaceName(text);
  if (expected !== undefined) throw new UsageError(`${option} must be ${expected}, not '${text}'`);
  return text;
}

// A pebibyte: far from where counting loses bytes.
const MAX_BYTES = 2 ** 50;

/** @throws UsageError unless it is a size such as 64M, of a byte at least and `max` at most */
export function parseSize(option: string, text: string, max = MAX_BYTES): number {
  const bytes = parseBytes(text);
  if (bytes === undefined || bytes < 1 || bytes > max) {
    throw new UsageError(
      `${option} must be a size such as 64M or 1G, up to ${max / 2 ** 30}G, not '${text}'`,
    );
  }
  return bytes;
}

// What a timer can count, in milliseconds.
const MAX_SECONDS = Math.floor((2 ** 31 - 1) / 1000);

/** @throws UsageError unless it is a number of seconds above 0 */
export function parseSeconds(option: string, text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (!(seconds > 0 && seconds <= MAX_SECONDS)) {
    throw new UsageError(
      `${option} must be a number of seconds such as 10 or 0.5, up to ${MAX_SECONDS}, not '${text}'`,
    );
  }
  return seconds;
}

/** @throws UsageError unless it is a whole number in [min, max] */
export function parseCount(option: string, text: string, min: number, max: number): number {
  const count = /^\d+$/.test(text) ? Number(text) : -1;
  if (count < min || count > max) {
    throw new UsageError(`${option} must be a whole number from ${min} to ${max}, not '${text}'`);
  }
  return count;
}

/** @throws UsageError unless it is a list such as 2,3 or 8-11 of distinct queues */
export function parseQueues(option: string, text: string): number[] {
  const queues = text.split(',').flatMap((part) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || last < first || last > 0xffff) {
      throw new UsageError(`${option} must be queues such as 2,3 or 8-11, not '${text}'`);
    }
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  if (new Set(queues).size !== queues.length) {
    throw new UsageError(`${option} names a queue twice: '${text}'`);
  }
  return queues;
}

/** @throws UsageError unless it is a release or a version of Linux */
export function parseRelease(option: string, text: string): string {
  if (isRelease(text)) return text;
  throw new UsageError(
    `${option} must be a release as 'uname -r' tells it, such as 6.12.117 or 6.12.117+deb12-amd64, or a version such as 6.12, not '${text}'`,
  );
}

/** @throws UsageError */
export function parsePatternOption(option: string, text: string): Pattern {
  const pattern = parsePattern(text);
  if (pattern !== undefined) return pattern;
  throw new UsageError(
    `${option} must be random, random:SEED or sequence:N (N from 1 to 255), not '${text}'`,
  );
}

/** An address and a port as users write them: IPv4 also where an IPv6 socket has it. */
export function addressText(address: string, port: number): string {
  const text = address.replace(/^::ffff:(?=[\d.]+$)/i, '');
  return `${text.includes(':') ? `[${text}]` : text}:${port}`;
}

/** An address as packets have it: the scope of fe80::1%eth0 is this machine's own matter. */
export function withoutScope(address: string): string {
  return address.replace(/%.*$/, '');
}
