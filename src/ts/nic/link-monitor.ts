/**
 * Watching links: one netlink socket per thread, open while anybody watches, that
 * does not keep the process alive.
 */
import { systemError } from '../errors.js';
import { type FdWatcher, native, type OwnedFd, WATCH_READABLE } from '../native.js';
import type { InterfaceMessage } from '../receive/binding.js';
import { decodeLinks, getLink, type Link, NETLINK_ROUTE, RTMGRP_LINK } from './netlink/link.js';

export type LinkChange = Omit<InterfaceMessage, 'bindingId'>;

/** What there is to tell of a link here. */
type Seen = Pick<Link, 'index' | 'name' | 'state' | 'carrier'>;

interface Watch {
  index: number;
  name: string;
  last: Seen;
  listener: (change: LinkChange) => void;
}

// linux/errno.h
const ENOBUFS = -105;

class LinkMonitor {
  readonly #fd: OwnedFd;
  readonly #watcher: FdWatcher;
  readonly #watches = new Set<Watch>();

  constructor() {
    const fd = native().openNetlinkGroups(NETLINK_ROUTE, RTMGRP_LINK);
    if (typeof fd === 'number') throw systemError(fd, 'bind(RTMGRP_LINK)');
    this.#fd = fd;
    this.#watcher = new (native().FdWatcher)(() => {
      this.#read();
    });
    const opened = this.#watcher.open(fd.fd);
    const status = opened < 0 ? opened : this.#watcher.start(WATCH_READABLE);
    if (status < 0) {
      this.close();
      throw systemError(status, 'uv_poll_start');
    }
    this.#watcher.unref();
  }

  get idle(): boolean {
    return this.#watches.size === 0;
  }

  add(watch: Watch): void {
    this.#watches.add(watch);
  }

  remove(watch: Watch): void {
    this.#watches.delete(watch);
  }

  close(): void {
    this.#watcher.close();
    this.#fd.close();
  }

  #read(): void {
    while (this.#fd.fd >= 0) {
      const messages = native().receiveNetlink(this.#fd);
      if (typeof messages === 'number') {
        if (messages !== ENOBUFS) return;
        void this.#refresh();
      } else {
        for (const link of decodeLinks(messages)) this.#tell(link);
      }
    }
  }

  // Messages were lost for want of room: asks for what they would have said.
  async #refresh(): Promise<void> {
    for (const { index, name } of [...this.#watches]) {
      const link = await getLink(index).catch(() => undefined);
      this.#tell(link ?? gone(index, name));
    }
  }

  #tell(link: Seen): void {
    for (const watch of [...this.#watches]) {
      const { last } = watch;
      if (watch.index !== link.index) continue;
      if (last.state === link.state && last.carrier === link.carrier) continue;
      watch.last = link;
      const { name, index: interfaceIndex, state, carrier } = link;
      watch.listener({ interface: name || last.name, interfaceIndex, state, carrier });
    }
  }
}

let shared: LinkMonitor | undefined;

/**
 * Calls back at each change of a link's state, from the one that it has when the
 * promise resolves.
 *
 * @returns ends that
 */
export async function watchLink(
  index: number,
  name: string,
  listener: (change: LinkChange) => void,
): Promise<() => void> {
  const monitor = (shared ??= new LinkMonitor());
  const watch: Watch = { index, name, last: gone(index, name), listener: () => {} };
  monitor.add(watch);
  const unwatch = (): void => {
    monitor.remove(watch);
    if (!monitor.idle || shared !== monitor) return;
    shared = undefined;
    monitor.close();
  };
  try {
    watch.last = (await getLink(index)) ?? watch.last;
  } catch (error) {
    unwatch();
    throw error;
  }
  watch.listener = listener;
  return unwatch;
}

function gone(index: number, name: string): Seen {
  return { index, name, state: 'gone', carrier: false };
}
