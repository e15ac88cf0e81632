// @ts-check
/** The guest's network: the receiving interface here, the sender's in the other namespace. */
import { readdirSync } from 'node:fs';

export const INTERFACE = 'dms0';
export const ADDRESS = '192.0.2.1';
export const PEER_INTERFACE = 'dms1';
export const PEER_ADDRESS = '192.0.2.2';

/** All rx queues of the receiving interface. */
export function rxQueues() {
  return readdirSync(`/sys/class/net/${INTERFACE}/queues`)
    .filter((name) => name.startsWith('rx-'))
    .map((name) => Number(name.slice('rx-'.length)));
}
