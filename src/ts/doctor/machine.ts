/** What the doctor asks of a machine, and asking this one. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { release } from 'node:os';

import { isSystemError } from '../errors.js';
import { type MemoryProbe, probeMemory } from '../memory/probe.js';
import type { Unsupported } from '../load-addon.js';
import { isSupported, native, unsupported } from '../native.js';
import { driverName } from '../nic/ioctl/driver.js';
import { getRings, type Rings } from '../nic/netlink/ethtool.js';
import { type Feature, getFeature } from '../nic/netlink/features.js';
import { NetdevNetlink, type RxQueue } from '../nic/netlink/netdev.js';
import { type Link, listLinks } from '../nic/netlink/link.js';
import { checkTokenQueue } from '../nic/queue/thread-queue.js';
import { zcrxAbilities } from '../nic/zcrx/abilities.js';
import { Files } from './files.js';

/** Why something optional is not to be had; null where it is. */
export type Refusal = { message: string; hint: string | undefined } | null;

/** Nothing here throws; undefined is an answer that could not be had. */
export interface Machine {
  readonly platform: string;
  readonly release: string;
  readonly files: Files;
  /** Why the addon cannot be loaded, if it cannot; without it most of the rest is unknown. */
  readonly unsupported: Unsupported | undefined;
  /** Whether the kernel's netdev family has the command that binds device memory. */
  canBindRx(): Promise<boolean | undefined>;
  /** The negative errno with which it refuses a malformed SO_DEVMEM_DONTNEED. */
  dontneedError(): number | undefined;
  /** Why fragments cannot go back by a token queue. */
  tokenQueue(): Refusal | undefined;
  /** Why io_uring cannot receive into dma-bufs. */
  zcrx(): Refusal | undefined;
  /** What allocating each type of memory said. */
  memory(): Promise<MemoryProbe[] | undefined>;
  links(): Promise<Link[] | undefined>;
  rxQueues(interfaceIndex: number): Promise<RxQueue[] | undefined>;
  rings(interfaceName: string): Promise<Rings | undefined>;
  /** A feature, by the kernel's name for it. */
  feature(interfaceName: string, feature: string): Promise<Feature | undefined>;
  driver(interfaceName: string): Promise<string | undefined>;
  /** Whether somebody listens at a Unix-domain socket's path. */
  listens(path: string): Promise<boolean>;
}

export function thisMachine(): Machine {
  return {
    platform: process.platform,
    release: release(),
    files: new Files(),
    unsupported: unsupported(),
    canBindRx,
    dontneedError: () => (isSupported() ? native().dontneedError() : undefined),
    tokenQueue: () => refusalOf(checkTokenQueue),
    zcrx: () => refusalOf(zcrxAbilities),
    memory: () => attempt(probeMemory),
    links: () => attempt(listLinks),
    rxQueues: (index) =>
      attempt(async () => {
        using netdev = await NetdevNetlink.open();
        return await netdev.rxQueues(index);
      }),
    rings: (name) => attempt(() => getRings(name)),
    feature: (name, feature) => attempt(() => getFeature(name, feature)),
    driver: (name) => attempt(() => driverName(name)),
    listens,
  };
}

function refusalOf(check: () => unknown): Refusal | undefined {
  if (!isSupported()) return undefined;
  try {
    check();
    return null;
  } catch (error) {
    return isSystemError(error) ? { message: error.message, hint: error.hint } : undefined;
  }
}

async function canBindRx(): Promise<boolean | undefined> {
  try {
    using netdev = await NetdevNetlink.open();
    return netdev.canBindRx;
  } catch (error) {
    // The kernel has no such family.
    return isSystemError(error) && error.code === 'ENOENT' ? false : undefined;
  }
}

/** Says nothing: a broker takes it for a client that thought better of it. */
async function listens(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function attempt<T>(ask: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch {
    return undefined;
  }
}
