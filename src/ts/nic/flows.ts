/** Flows: which connections are to reach the bound queues, and the rules that say so. */
import { isIPv4, isIPv6 } from 'node:net';

import { checkInteger, checkObject, invalidArgType, invalidArgValue } from '../errors.js';

/**
 * Connections to steer, as seen from this machine, which receives. What is not given
 * is not looked at. One of the ports is needed: `localPort` of a server,
 * `remotePort`, `localPort` or both of a client.
 */
export interface Flow {
  /** Default: that of the addresses; both families where there are none. */
  family?: 4 | 6;
  /** This machine's address, e.g. `'192.0.2.1'`. `'0.0.0.0'` and `'::'` stand for any. */
  localAddress?: string;
  /** 1 to 65535. */
  localPort?: number;
  remoteAddress?: string;
  /** 1 to 65535. */
  remotePort?: number;
}

/** What a rule looks at: a flow of one family. */
export interface Match {
  readonly family: 4 | 6;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
}

const ANY = new Set(['0.0.0.0', '::']);
const MAX_PORT = 0xffff;

/**
 * @param name - of the argument, for messages
 * @returns the rules' matches, one for each family that the flow can have
 * @throws TypeError, RangeError for a flow that makes no sense
 */
export function checkFlow(name: string, flow: unknown): Match[] {
  const given: Flow = checkObject(name, flow);
  checkFamily(`${name}.family`, given.family);
  const families = [
    given.family,
    checkAddress(`${name}.localAddress`, given.localAddress),
    checkAddress(`${name}.remoteAddress`, given.remoteAddress),
  ].filter((family) => family !== undefined);
  if (new Set(families).size > 1) {
    throw invalidArgValue(name, 'a flow whose family and addresses agree', flow);
  }
  for (const port of ['localPort', 'remotePort'] as const) {
    if (given[port] !== undefined) checkInteger(`${name}.${port}`, given[port], 1, MAX_PORT);
  }
  if (given.localPort === undefined && given.remotePort === undefined) {
    throw invalidArgValue(name, 'a flow with a localPort or a remotePort', flow);
  }
  const [family] = families;
  return (family === undefined ? ([4, 6] as const) : [family]).map((each) => match(each, given));
}

function checkFamily(name: string, family: unknown): void {
  if (family !== undefined && family !== 4 && family !== 6) {
    throw invalidArgValue(name, '4 or 6', family);
  }
}

function checkAddress(name: string, address: unknown): 4 | 6 | undefined {
  if (address === undefined || address === '::') return undefined;
  if (typeof address !== 'string') throw invalidArgType(name, 'a string', address);
  if (isIPv4(address)) return 4;
  // A rule has no place for a scope: fe80::1%eth0 is one address on the wire.
  if (isIPv6(address) && !address.includes('%')) return 6;
  throw invalidArgValue(name, 'an IPv4 or IPv6 address without a scope', address);
}

function match(family: 4 | 6, flow: Flow): Match {
  const { localAddress, localPort, remoteAddress, remotePort } = flow;
  return {
    family,
    ...(localAddress !== undefined && !ANY.has(localAddress) && { localAddress }),
    ...(localPort !== undefined && { localPort }),
    ...(remoteAddress !== undefined && !ANY.has(remoteAddress) && { remoteAddress }),
    ...(remotePort !== undefined && { remotePort }),
  };
}

/**
 * The match itself, and what to try where the driver refuses it: its local side
 * alone, the destination of what arrives.
 */
export function alternatives(full: Match): Match[] {
  const { family, localAddress, localPort, remoteAddress, remotePort } = full;
  const narrowed = remoteAddress !== undefined || remotePort !== undefined;
  if (localPort === undefined || !narrowed) return [full];
  return [full, { family, ...(localAddress !== undefined && { localAddress }), localPort }];
}

/** As `ethtool -N` takes it, e.g. `flow-type tcp4 dst-port 5201`. */
export function ethtoolFlow(of: Match): string {
  const words = [`flow-type tcp${of.family}`];
  if (of.remoteAddress !== undefined) words.push(`src-ip ${of.remoteAddress}`);
  if (of.localAddress !== undefined) words.push(`dst-ip ${of.localAddress}`);
  if (of.remotePort !== undefined) words.push(`src-port ${of.remotePort}`);
  if (of.localPort !== undefined) words.push(`dst-port ${of.localPort}`);
  return words.join(' ');
}

/** For people, e.g. `tcp4 to 192.0.2.1:5201 from any`. */
export function describeMatch(of: Match): string {
  const end = (address: string | undefined, port: number | undefined): string => {
    if (address === undefined && port === undefined) return 'any';
    const host = address === undefined ? '*' : of.family === 6 ? `[${address}]` : address;
    return `${host}:${port ?? '*'}`;
  };
  const to = end(of.localAddress, of.localPort);
  return `tcp${of.family} to ${to} from ${end(of.remoteAddress, of.remotePort)}`;
}
