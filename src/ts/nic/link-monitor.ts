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
const EAGAIN = -11;
const ENOBUFS = -105;

/** A socket to which the kernel reports changes of links. */
class LinkSocket {
  readonly #fd: OwnedFd;
  readonly #watcher: FdWatcher;

  constructor(onReadable: () => void) {
    const fd = native().openNetlinkGroups(NETLINK_ROUTE, RTMGRP_LINK);
    if (typeof fd === 'number') throw systemError(fd, 'bind(RTMGRP_LINK)');
    this.#fd = fd;
    this.#watcher = new (native().FdWatcher)(onReadable);
    const opened = this.#watcher.open(fd.fd);
    const status = opened < 0 ? opened : this.#watcher.start(WATCH_READABLE);
    if (status < 0) {
      this.close();
      throw systemError(status, 'uv_poll_start');
    }
    this.#watcher.unref();
  }

  /** Messages, or a negative errno: EAGAIN where there are none. */
  receive(): Uint8Array | number {
    return this.#fd.fd < 0 ? EAGAIN : native().receiveNetlink(this.#fd);
  }

  close(): void {
    this.#watcher.close();
    this.#fd.close();
  }
}

class LinkMonitor {
  readonly #watches = new Set<Watch>();
  #socket = this.#open();
  /** Whether anything was read since the socket was opened. */
  #hasRead = true;

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
    this.#socket.close();
  }

  #open(): LinkSocket {
    return new LinkSocket(() => {
      this.#read();
    });
  }

  #read(): void {
    for (;;) {
      const messages = this.#socket.receive();
      if (typeof messages !== 'number') {
        this.#hasRead = true;
        for (const link of decodeLinks(messages)) this.#tell(link);
      } else if (messages === ENOBUFS) {
        void this.#refresh();
      } else {
        if (messages !== EAGAIN) this.#recover(systemError(messages, 'recvfrom(rtnetlink)'));
        return;
      }
    }
  }

  // An error that reading does not clear: the poll would call back for ever.
  #recover(error: Error): void {
    this.close();
    try {
      if (!this.#hasRead) throw error;
      this.#socket = this.#open();
      this.#hasRead = false;
      void this.#refresh();
    } catch (cause) {
      if (shared === this) shared = undefined;
      process.emitWarning((cause as Error).message, {
        type: 'DevmemLinkMonitorWarning',
        code: 'DEVMEM_LINK_MONITOR',
        detail: "Bindings are no longer told when their interfaces change ('interface' events).",
      });
    }
  }

  // Messages were lost: asks for what they would have said.
  async #refresh(): Promise<void> {
    for (const { index, name } of [...this.#watches]) {
      try {
        this.#tell((await getLink(index)) ?? gone(index, name));
      } catch {
        // Not gone, but not to be learnt: its next change tells.
      }
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
