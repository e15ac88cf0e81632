/**
 * Which interfaces have queues to bind: those with a device. A VLAN, bond, bridge or
 * tunnel has none; binding one has Linux 6.12 warn of a bug of its own
 * (dma_buf_dynamic_attach), which ends a machine that panics on warnings.
 */
import { constants } from 'node:os';

import { systemError } from '../errors.js';
import { findInterface } from './interface-arguments.js';
import { type Link, listLinks } from './netlink/link.js';
import { printable } from './quoting.js';

/**
 * The interface that goes by the name, for its queues to be bound.
 *
 * @throws SystemError ENODEV; EOPNOTSUPP for one without a device
 */
export async function findNic(name: string): Promise<Link> {
  const link = await findInterface(name);
  if (link.parent !== undefined) return link;
  throw systemError(-constants.errno.EOPNOTSUPP, 'netdev bind-rx', {
    subject: withoutDevice(link),
    hint: whatToName(nicsBelow(link, await listLinks())),
  });
}

export function withoutDevice({ name, kind }: Pick<Link, 'name' | 'kind'>): string {
  const what = kind === undefined ? 'a virtual interface' : `a virtual interface (${kind})`;
  return `${printable(name)} is ${what}, without a device whose queues could be bound`;
}

/** @param below - names of NICs */
export function whatToName(below: readonly string[]): string {
  if (below.length === 0) return 'Name a NIC; there is none below it';
  return `Name the NIC below it: ${below.map(printable).join(' or ')}`;
}

/**
 * Names of the NICs below an interface: what it sits on, and what is part of it, however
 * many others lie between.
 *
 * @param links - all of its network namespace
 */
export function nicsBelow(top: Link, links: readonly Link[]): string[] {
  const seen = new Set([top.index]);
  const names: string[] = [];
  for (let level = [top]; level.length > 0;) {
    level = links.filter(
      (link) => !seen.has(link.index) && level.some((above) => liesBelow(link, above)),
    );
    for (const { index, name, parent } of level) {
      seen.add(index);
      if (parent !== undefined) names.push(name);
    }
  }
  return names;
}

function liesBelow(link: Link, above: Link): boolean {
  return link.index === above.lower || link.master === above.index;
}
