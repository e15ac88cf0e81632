/** What a broker lets whom have. */
import { DevmemError } from '../../errors.js';
import type { Credentials } from '../../native.js';

/** An interface whose queues may be bound through a broker. */
export interface Allowance {
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

/** @throws DevmemError ERR_DEVMEM_BROKER_REFUSED for queues that are not to be had */
export function checkQueuesAllowed(
  { allow }: Policy,
  wanted: { interface: string; queues: readonly number[] },
): void {
  const entries = allow.filter((each) => each.interface === wanted.interface);
  const isAllowed = (queue: number): boolean =>
    entries.some(({ queues }) => queues === undefined || queues.includes(queue));
  const denied = wanted.queues.filter((queue) => !isAllowed(queue));
  if (denied.length === 0) return;
  throw refusal(
    `does not give out rx queue ${denied.join(', ')} of ${wanted.interface}`,
    `allow ${wanted.interface}:${denied.join(',')} lets it`,
  );
}

/** What is said to a client that may not have what it asks for. */
export function refusal(what: string, option: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_BROKER_REFUSED', `The broker ${what}. Its option --${option}`);
}
