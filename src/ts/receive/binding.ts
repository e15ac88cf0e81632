/** Memory bound for receiving: what sockets receive into, and by which transport. */
import { systemError } from '../errors.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { type CopyArena, native, type OnBatch, type Receiver } from '../native.js';
import { Credits } from './credits.js';

/** How fragments arrive: by the kernel's devmem path, or copied to host memory. */
export type TransportName = 'cmsg' | 'copy';

/** @internal What a binding is made of. */
export interface BindingParts {
  transport: TransportName;
  memory: DmaBuf;
  /** The kernel's binding id; 0 in copy mode. */
  id: number;
  interface: string | undefined;
  queues: readonly number[];
  heldLimit: number;
  /** How long reading may stand still for want of memory before a warning, in milliseconds. */
  stallWarningMs: number;
  /** Memory that the receive rings keep filled, in bytes. */
  ringBytes: number;
  /** Why an 'auto' binding does not use devmem. */
  fallback?: Error | undefined;
  /** Undoes the kernel's part. */
  unbind: () => void;
}

/** One binding, or several on the devmem path of which the first is the primary one. */
export type Bindings = Binding | readonly Binding[];

/**
 * A dma-buf bound to receive queues (or, on the copy transport, memory to copy
 * into). Made by `bindRx`, given to `createServer` and `connect`.
 *
 * Closing it unbinds the queues. Fragments held by then stay valid; sockets go
 * on and receive linear data.
 */
export class Binding implements AsyncDisposable {
  readonly transport: TransportName;
  readonly memory: DmaBuf;
  /** The kernel's id of this binding, as in fragments' `dmabufId`; 0 on the copy transport. */
  readonly id: number;
  readonly interface: string | undefined;
  readonly queues: readonly number[];
  /** On `mode: 'auto'`, why it is not the devmem path; undefined where it is. */
  readonly fallback: Error | undefined;
  /** @internal */
  readonly credits: Credits;
  /** @internal */
  readonly stallWarningMs: number;
  /** @internal Connections that may have data in the memory. */
  sockets = 0;
  readonly #unbind: () => void;
  readonly #ringBytes: number;
  readonly #arena: CopyArena | undefined;
  #closed = false;

  /** @internal */
  constructor(parts: BindingParts) {
    this.transport = parts.transport;
    this.memory = parts.memory;
    this.id = parts.id;
    this.interface = parts.interface;
    this.queues = parts.queues;
    this.fallback = parts.fallback;
    const copies = parts.transport === 'copy';
    const unit = copies ? chunkSize(parts.heldLimit) : PAGE;
    this.credits = new Credits(parts.heldLimit, unit);
    this.stallWarningMs = parts.stallWarningMs;
    parts.memory.user = this;
    this.#unbind = parts.unbind;
    this.#ringBytes = parts.ringBytes;
    if (copies) {
      this.#arena = new (native().CopyArena)(parts.memory.mapping(), unit, this.credits.values);
    }
  }

  /** Bytes of the memory that fragments in use keep from being filled again. */
  get heldBytes(): number {
    return this.credits.held;
  }

  /** Reading stops when `heldBytes` would pass this, in bytes. */
  get heldLimit(): number {
    return this.credits.limit;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** @internal Whether anything may still be written to the memory, or be read there. */
  get usesMemory(): boolean {
    return !this.#closed || this.sockets > 0 || this.heldBytes > 0;
  }

  /** @internal To be called when one use of the memory ended. */
  settleMemory(): void {
    if (!this.usesMemory && this.memory.user === this) this.memory.unused();
  }

  /**
   * @internal Memory that data waiting in sockets may take, in bytes: what neither
   * held fragments nor the rings need. Unlimited on the copy transport, where
   * waiting data is in the kernel's own memory.
   */
  get queueBytes(): number {
    if (this.transport === 'copy') return Infinity;
    return Math.max(this.memory.size - this.heldLimit - this.#ringBytes, 0);
  }

  /** @internal A receiver by this binding's transport; on the devmem path it has no memory yet. */
  createReceiver(counters: Float64Array, onBatch: OnBatch): Receiver {
    const { Receiver } = native();
    return new Receiver(this.#arena, counters, onBatch);
  }

  /** @internal Lets a receiver find fragments in this memory. */
  admit(receiver: Receiver): void {
    if (this.#arena !== undefined) return;
    const status = receiver.addSource(this.id, this.memory.size, this.credits.values);
    if (status < 0) throw systemError(status, 'Receiver.addSource');
  }

  /** Unbinds. A second call does nothing. */
  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#unbind();
      this.settleMemory();
    }
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

// A chunk of this size keeps a recv call's cost small beside the copy and the
// chunk itself in the cache.
const MAX_CHUNK = 256 * 1024;
const MIN_CHUNKS = 8;
const PAGE = 4096;

function chunkSize(heldLimit: number): number {
  const share = Math.floor(heldLimit / MIN_CHUNKS / PAGE) * PAGE;
  return Math.max(Math.min(MAX_CHUNK, share), PAGE);
}
