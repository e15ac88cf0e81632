/** Everything about an interface that a plan is made from. Reading it changes nothing. */
import { readFileSync } from 'node:fs';

import { nicsBelow, whatToName, withoutDevice } from '../devices.js';
import { driverName } from '../ioctl/driver.js';
import { listRules, type RuleTable } from '../ioctl/flow-rules.js';
import { type Channels, getChannels } from '../netlink/channels.js';
import { getRings, type Rings } from '../netlink/ethtool.js';
import { type Feature, getFeature, NTUPLE } from '../netlink/features.js';
import { type Link, listLinks } from '../netlink/link.js';
import { NetdevNetlink, type RxQueue } from '../netlink/netdev.js';
import { getRss, type Rss } from '../netlink/rss.js';

/** Undefined is what the driver does not tell, or does not have. */
export interface InterfaceState {
  name: string;
  index: number;
  driver: string | undefined;
  channels: Channels | undefined;
  rings: Rings | undefined;
  rss: Rss | undefined;
  ntuple: Feature | undefined;
  rules: RuleTable | undefined;
  /** Empty while the interface is down. */
  rxQueues: RxQueue[];
  xdpProgram: number | undefined;
  /** Why none of its queues could be bound: it is no NIC. */
  noDevice: string | undefined;
  /** Whether this process may change interfaces; undefined where it cannot tell. */
  privileged: boolean | undefined;
}

export async function readState(link: Link): Promise<InterfaceState> {
  const { name, index, xdpProgram, parent } = link;
  const nics = parent === undefined ? nicsBelow(link, await listLinks()) : undefined;
  return {
    name,
    index,
    driver: driverName(name),
    channels: await getChannels(name),
    rings: await getRings(name),
    rss: await getRss(name),
    ntuple: await getFeature(name, NTUPLE),
    rules: listRules(name),
    rxQueues: await rxQueues(index),
    xdpProgram,
    noDevice: nics && `${withoutDevice(link)}. ${whatToName(nics)}`,
    privileged: hasNetAdmin(),
  };
}

/** The rx queues; none where the kernel does not list them. */
export async function rxQueues(index: number): Promise<RxQueue[]> {
  try {
    using netdev = await NetdevNetlink.open();
    return await netdev.rxQueues(index);
  } catch {
    return [];
  }
}

const CAP_NET_ADMIN = 12n;

/** Whether this process has CAP_NET_ADMIN; undefined where there is no /proc to tell. */
export function hasNetAdmin(): boolean | undefined {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(ownStatus())?.[1];
  if (effective === undefined) return undefined;
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

function ownStatus(): string {
  try {
    return readFileSync('/proc/thread-self/status', 'utf8');
  } catch {
    return '';
  }
}
