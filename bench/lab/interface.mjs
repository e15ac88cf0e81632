// @ts-check
/** The guest's network: the receiving interface here, the sender's in the other namespace. */
import { readdirSync } from 'node:fs';

/** @param {string} name of what kernel/lab/job.mjs tells of it */
function told(name) {
  const value = process.env[`DEVMEM_LAB_${name}`];
  if (value === undefined) throw new Error(`DEVMEM_LAB_${name} is not set: this runs in the guest`);
  return value;
}

export const INTERFACE = told('INTERFACE');
export const ADDRESS = told('ADDRESS');
export const PEER_INTERFACE = told('PEER_INTERFACE');
export const PEER_ADDRESS = told('PEER_ADDRESS');

/** All rx queues of the receiving interface. */
export function rxQueues() {
  return readdirSync(`/sys/class/net/${INTERFACE}/queues`)
    .filter((name) => name.startsWith('rx-'))
    .map((name) => Number(name.slice('rx-'.length)));
}
