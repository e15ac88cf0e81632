/** Flows: which connections are to reach the bound queues, and the rules that say so. */
import { isIP } from 'node:net';

import { checkInteger, checkObject, invalidArgType, invalidArgValue } from '../errors.js';
import { addressBytes, addressText, unmapped } from './ioctl/addresses.js';

/**
 * Connections to steer, as seen from this machine, which receives. What is not given
 * is not looked at. One of the ports is needed: `localPort` of a server,
 * `remotePort`, `localPort` or both of a client.
 */
export interface Flow {
  /** Default: that of the addresses; both families where there are none. */
  family?: 4 | 6;
  /**
   * This machine's address, e.g. `'192.0.2.1'`. `'0.0.0.0'` and `'::'`, however written,
   * stand for any; `'::ffff:192.0.2.1'` is IPv4.
   */
  localAddress?: string;
  /** 1 to 65535. */
  localPort?: number;
  /** The peer's address, e.g. `'192.0.2.2'`; any where it is as `localAddress` says. */
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

const MAX_PORT = 0xffff;

/**
 * @param name - of the argument, for messages
 * @returns the rules' matches, one for each family that the flow can have
 * @throws TypeError, RangeError for a flow that makes no sense
 */
export function checkFlow(name: string, flow: unknown): Match[] {
  const given: Flow = checkObject(name, flow);
  checkFamily(`${name}.family`, given.family);
  const local = checkAddress(`${name}.localAddress`, given.localAddress);
  const remote = checkAddress(`${name}.remoteAddress`, given.remoteAddress);
  const families = [given.family, local.family, remote.family].filter(
    (family) => family !== undefined,
  );
  if (new Set(families).size > 1) {
    throw invalidArgValue(name, 'a flow whose family and addresses agree', flow);
  }
  for (const port of ['localPort', 'remotePort'] as const) {
    if (given[port] !== undefined) checkInteger(`${name}.${port}`, given[port], 1, MAX_PORT);
  }
  const { localPort, remotePort } = given;
  if (localPort === undefined && remotePort === undefined) {
    throw invalidArgValue(name, 'a flow with a localPort or a remotePort', flow);
  }
  const ends = {
    ...(local.text !== undefined && { localAddress: local.text }),
    ...(localPort !== undefined && { localPort }),
    ...(remote.text !== undefined && { remoteAddress: remote.text }),
    ...(remotePort !== undefined && { remotePort }),
  };
  const [family] = families;
  return (family === undefined ? ([4, 6] as const) : [family]).map((each) => ({
    family: each,
    ...ends,
  }));
}

function checkFamily(name: string, family: unknown): void {
  if (family !== undefined && family !== 4 && family !== 6) {
    throw invalidArgValue(name, '4 or 6', family);
  }
}

interface Address {
  /** What it restricts the flow to; undefined: nothing. */
  family?: 4 | 6;
  /** As RFC 5952 writes it; undefined: any. */
  text?: string;
}

function checkAddress(name: string, address: unknown): Address {
  if (address === undefined) return {};
  if (typeof address !== 'string') throw invalidArgType(name, 'a string', address);
  // A rule has no place for a scope: fe80::1%eth0 is one address on the wire.
  if (!isIP(address) || address.includes('%')) {
    throw invalidArgValue(name, 'an IPv4 or IPv6 address without a scope', address);
  }
  // What a socket of both families says of an IPv4 peer is an IPv4 address on the wire.
  const bytes = unmapped(addressBytes(address));
  const any = bytes.every((byte) => byte === 0);
  // A server that listens at '::' listens at '0.0.0.0' too.
  if (bytes.length === 4) return any ? { family: 4 } : { family: 4, text: addressText(bytes) };
  return any ? {} : { family: 6, text: addressText(bytes) };
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
