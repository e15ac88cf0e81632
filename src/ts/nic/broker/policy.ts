/** What a broker lets whom have. */
import { DevmemError } from '../../errors.js';
import type { Credentials } from '../../native.js';
import { findLink } from '../netlink/link.js';
import { printable, shellWord } from '../quoting.js';

/** An interface whose queues may be bound through a broker. */
export interface Allowance {
  /** By any of the names that it has when a client asks. */
  interface: string;
  /** Default: all of its queues. */
  queues?: readonly number[];
}

export interface Policy {
  allow: readonly Allowance[];
  /** With `gids`: who may connect; both undefined: whom the socket's mode lets. */
  uids: readonly number[] | undefined;
  gids: readonly number[] | undefined;
}

/** @throws DevmemError ERR_DEVMEM_BROKER_REFUSED for those who may not use the broker */
export function checkPeer({ uids, gids }: Policy, peer: Credentials): void {
  if (uids === undefined && gids === undefined) return;
  if (uids?.includes(peer.uid) === true || gids?.includes(peer.gid) === true) return;
  throw refusal(
    `does not serve user ${peer.uid} (group ${peer.gid})`,
    'allow-uid or --allow-gid names those it serves',
  );
}

/**
 * What a client asks for, under the interface's own name.
 *
 * @throws DevmemError ERR_DEVMEM_BROKER_REFUSED for queues that are not to be had
 */
export async function allowedRequest<T extends Wanted>(policy: Policy, wanted: T): Promise<T> {
  const link = await findLink(wanted.interface);
  const name = link?.name ?? wanted.interface;
  checkQueuesAllowed(policy, { ...wanted, interface: name }, link?.alternativeNames);
  return { ...wanted, interface: name };
}

interface Wanted {
  interface: string;
  queues: readonly number[];
}

function checkQueuesAllowed(
  { allow }: Policy,
  wanted: Wanted,
  alternativeNames: readonly string[] = [],
): void {
  const names = [wanted.interface, ...alternativeNames];
  const entries = allow.filter((each) => names.includes(each.interface));
  const isAllowed = (queue: number): boolean =>
    entries.some(({ queues }) => queues === undefined || queues.includes(queue));
  const denied = wanted.queues.filter((queue) => !isAllowed(queue));
  if (denied.length === 0) return;
  throw refusal(
    `does not give out rx queue ${denied.join(', ')} of ${printable(wanted.interface)}`,
    `allow ${shellWord(`${wanted.interface}:${denied.join(',')}`)} lets it`,
  );
}

/** What is said to a client that may not have what it asks for. */
export function refusal(what: string, option: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_BROKER_REFUSED', `The broker ${what}. Its option --${option}`);
}

const MORE_SEATS = {
  maxClients: 'max-clients lets more in',
  maxClientsPerUser: 'max-clients-per-user lets more of one user in',
} as const;

/** What is said to a client for which there is no room. */
export function seatRefusal(what: string, limit: keyof typeof MORE_SEATS): DevmemError {
  return refusal(what, MORE_SEATS[limit]);
}
