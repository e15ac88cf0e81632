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
  readonly #windows = new Set<ReceiveWindow>();
  // Once limited, a buffer no longer grows by itself.
  #limit: number | undefined;

  constructor(socket: Limited) {
    this.#socket = socket;
  }

  join(window: ReceiveWindow): void {
    this.#windows.add(window);
    window.add(this);
  }

  /** Leaves all of them. */
  leave(): void {
    for (const window of this.#windows) window.remove(this);
    this.#windows.clear();
  }

  /** To be called when one of the shares is another. */
  changed(): void {
    const share = Math.min(...[...this.#windows].map((window) => window.share));
    const maximum = maximumBuffer();
    if (share >= maximum && this.#limit === undefined) return;
    const limit = Math.floor(Math.min(share, maximum));
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#socket.limitReceiveBuffer(limit);
  }
}

/**
 * Memory that is divided among sockets, in places of equal size. There are two to the power
 * of something, so that the size changes seldom: it is halved when there is no place left,
 * and doubled when three of four are empty. A change concerns every socket; it comes after
 * at least half as many came or left as there are, so that each costs a few calls at most.
 */
export class ReceiveWindow {
  readonly #bytes: number;
  readonly #members = new Set<ReceiveShares>();
  #places = 1;

  /** @param bytes - device memory that waiting data may take in all */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** What a member may let wait, in bytes. */
  get share(): number {
    return Math.max(this.#bytes / this.#places, MIN_BUFFER);
  }

  /** Counts a socket in. */
  add(member: ReceiveShares): void {
    this.#members.add(member);
    if (this.#members.size > this.#places) this.#divide(this.#places * 2);
    else member.changed();
  }

  /** Counts it out. */
  remove(member: ReceiveShares): void {
    this.#members.delete(member);
    if (this.#places > 1 && this.#members.size <= this.#places / 4) this.#divide(this.#places / 2);
  }

  #divide(places: number): void {
    this.#places = places;
    for (const member of this.#members) member.changed();
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
