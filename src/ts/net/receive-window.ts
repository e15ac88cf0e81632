/**
 * Keeps data that waits in sockets from using up the dma-buf.
 *
 * Payload that TCP has queued but nobody read lies in device memory too. Linux
 * grows each socket's receive buffer on its own, up to tcp_rmem's maximum; where
 * that times the number of sockets does not fit in what rings and held fragments
 * leave, the sockets' buffers are set to an equal share.
 */
import { readFileSync } from 'node:fs';

import type { Binding } from '../receive/binding.js';

// Below this a socket could not receive at speed, nor a jumbo frame at all.
const MIN_BUFFER = 64 * 1024;
const DEFAULT_MAXIMUM = 6 * 1024 * 1024;

const windows = new WeakMap<Binding, ReceiveWindow>();

/** The binding's window, shared by all its sockets. */
export function receiveWindow(binding: Binding): ReceiveWindow {
  let window = windows.get(binding);
  if (window === undefined) windows.set(binding, (window = new ReceiveWindow(binding.queueBytes)));
  return window;
}

/** A socket, as far as its receive buffer is concerned. */
interface Limited {
  limitReceiveBuffer(bytes: number): void;
}

/** A socket in the windows of all its bindings: the smallest share counts. */
export class ReceiveShares {
  readonly #socket: Limited;
  readonly #shares = new Map<ReceiveWindow, Share>();

  constructor(socket: Limited) {
    this.#socket = socket;
  }

  join(window: ReceiveWindow): void {
    const share = new Share(() => {
      this.#apply();
    });
    this.#shares.set(window, share);
    window.add(share);
  }

  /** Leaves all of them. */
  leave(): void {
    for (const [window, share] of this.#shares) window.remove(share);
    this.#shares.clear();
  }

  #apply(): void {
    const shares = [...this.#shares.values()].map(({ bytes }) => bytes);
    this.#socket.limitReceiveBuffer(Math.min(...shares));
  }
}

class Share implements Limited {
  bytes = Infinity;
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  limitReceiveBuffer(bytes: number): void {
    this.bytes = bytes;
    this.#changed();
  }
}

export class ReceiveWindow {
  readonly #bytes: number;
  readonly #sockets = new Set<Limited>();
  #share = Infinity;

  /** @param bytes - device memory that waiting data may take in all */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** Counts a socket in. */
  add(socket: Limited): void {
    this.#sockets.add(socket);
    this.#divide(socket);
  }

  /** Counts it out. */
  remove(socket: Limited): void {
    this.#sockets.delete(socket);
  }

  #divide(added: Limited): void {
    if (this.#bytes === Infinity) return;
    const share = Math.max(this.#bytes / this.#sockets.size, MIN_BUFFER);
    if (share >= maximumBuffer()) return;
    // A smaller share concerns every socket; a larger one is left to those that come.
    const concerned = share < this.#share ? this.#sockets : [added];
    this.#share = share;
    for (const socket of concerned) socket.limitReceiveBuffer(Math.floor(share));
  }
}

let maximum: number | undefined;

/** The most that Linux lets a TCP receive buffer grow to by itself, in bytes. */
function maximumBuffer(): number {
  maximum ??= readMaximum();
  return maximum;
}

function readMaximum(): number {
  try {
    const fields = readFileSync('/proc/sys/net/ipv4/tcp_rmem', 'utf8').trim().split(/\s+/);
    return Number(fields[2]) || DEFAULT_MAXIMUM;
  } catch {
    return DEFAULT_MAXIMUM;
  }
}
