/** Memory bound for receiving: what sockets receive into, and by which transport. */
import { channel } from 'node:diagnostics_channel';
import { EventEmitter } from 'node:events';
import { inspect } from 'node:util';

import { checkMaker, MAKER } from '../construction.js';
import { Living } from '../living.js';
import type { DmaBuf } from '../memory/dma-buf.js';
import { portrait } from '../portrait.js';
import type { TokenQueue, ZcrxQueue } from '../native.js';
import type { MemoryPool } from './pool.js';
import type { Transport, TransportName } from './transports/transport.js';

/** An rx queue, as the kernel lists it. */
export interface RxQueue {
  /** Its number, as `ethtool` counts receive queues. */
  id: number;
  /** The NAPI instance that polls it, where the kernel tells. */
  napiId: number | undefined;
  /** The binding on it, if any. */
  dmabufId: number | undefined;
  /** Another user of its memory, as far as the kernel tells (since Linux 6.15). */
  otherUser: 'io_uring' | 'AF_XDP' | undefined;
}

/** A page pool: the allocator behind an rx queue, or the remains of one. */
export interface PagePool {
  /** The kernel's number of it. */
  id: number;
  /** Of the interface, while the pool belongs to one. */
  interfaceIndex: number | undefined;
  /** Pages (or pieces of device memory) that are out: in rings, skbs, or held by users. */
  inflight: number;
  /** The binding whose memory it hands out, if any. */
  dmabufId: number | undefined;
  /** Whose memory it hands out else, as far as the kernel tells (since Linux 6.15). */
  otherUser: 'io_uring' | undefined;
  /** Whether its queue is gone and it waits for the last page to come back. */
  detached: boolean;
}

/**
 * The state of a binding's interface, new or changed: a binding's `'interface'` event,
 * and what is published on the diagnostics channel `devmem-tcp:interface`.
 */
export interface InterfaceMessage {
  /** The binding's id. */
  bindingId: number;
  /** The interface's name by now: it can be renamed. */
  interface: string;
  /** The kernel's number of the interface, which stays. */
  interfaceIndex: number;
  /**
   * - `up`: set up by the administrator (`ip link set … up`).
   * - `down`: set down; the binding survives that.
   * - `gone`: removed, or moved to another network namespace. Nothing more is received.
   */
  state: 'up' | 'down' | 'gone';
  /** Whether there is a link to the other end of the cable. */
  carrier: boolean;
}

/**
 * Published on the diagnostics channel `devmem-tcp:binding-lost`: the queues were
 * unbound although the binding was not closed.
 */
export interface BindingLostMessage {
  /** The binding's `id`. */
  bindingId: number;
  /** The binding's interface. */
  interface: string | undefined;
  /** ERR_DEVMEM_BROKER_LOST. */
  reason: Error;
}

/** What a binding tells, with the arguments of its listeners. */
export interface BindingEvents {
  /** The interface went up, down or away. */
  interface: [InterfaceMessage];
  /** The queues were unbound although nobody closed the binding: the broker is gone. */
  lost: [Error];
}

/** @internal The kernel's side of a binding. */
export interface KernelSide {
  interfaceIndex: number;
  /** Those of this binding. */
  rxQueues(): Promise<RxQueue[]>;
  pagePools(): Promise<PagePool[]>;
  /** Undoes the binding. Rejects where the memory is filled all the same. */
  unbind(): Promise<void>;
}

/** @internal What a binding is made of. */
export interface BindingParts {
  transport: Transport;
  /** Reserved for this binding, which opens it. */
  pool: MemoryPool;
  /** The kernel's binding id, or one that the transport made. */
  id: number;
  interface: string | undefined;
  queues: readonly number[];
  heldLimit: number;
  /** How long reading may stand still for want of memory before a warning, in milliseconds. */
  stallWarningMs: number;
  /** Memory that the receive rings keep filled, in bytes. */
  ringBytes: number;
  /** Bytes of the pages that the NIC fills. Default: 4096. */
  rxPageSize?: number | undefined;
  /** Why an 'auto' binding does not use devmem. */
  fallback?: Error | undefined;
  /** The rx queue, where io_uring provides its memory; or the token queue of its sockets. */
  queue?: ZcrxQueue | TokenQueue | undefined;
  /** Undefined where no kernel has bound anything. */
  kernel?: KernelSide | undefined;
}

/** @internal The bindings of this thread, closed ones too. */
export const bindingsOfThread = new Living<Binding>();

/** One binding, or several on the devmem path of which the first is the primary one. */
export type Bindings = Binding | readonly Binding[];

/**
 * A dma-buf bound to receive queues (or, on the copy transport, memory to copy
 * into). Made by `bindRx`, given to `createServer` and `connect`.
 *
 * Closing it unbinds the queues. Fragments held by then stay valid; sockets go
 * on and receive linear data, but for those of the transport `zcrx`, which fail with
 * ERR_DEVMEM_UNBOUND once they have handed out what had come: what the kernel still has for
 * them, only the ring could have given.
 *
 * Events: `'interface'` with an InterfaceMessage when the interface goes up, down or
 * away; `'lost'` with the reason when the queues were unbound although nobody closed
 * it, because the broker that held it is gone.
 */
export class Binding extends EventEmitter<BindingEvents> implements AsyncDisposable {
  /** How fragments arrive. */
  readonly transport: TransportName;
  /** Whether the CPU copies payload into the memory, because the NIC does not write it there. */
  readonly copies: boolean;
  /** What payload is received into. */
  readonly memory: DmaBuf;
  /**
   * The id of this binding, as in its fragments' `dmabufId`: the kernel's, or, where that
   * has none (transports `copy` and `zcrx`), one that no binding of the kernel's has.
   */
  readonly id: number;
  /** The interface; `undefined` where none was named. */
  readonly interface: string | undefined;
  /** The kernel's number of the interface; undefined on the copy transport. */
  readonly interfaceIndex: number | undefined;
  /** The receive queues that are bound; none where bytes are copied. */
  readonly queues: readonly number[];
  /**
   * Bytes of the pages that the NIC fills; a fragment, however short, keeps whole ones
   * from being filled again. Undefined on the copy transport.
   */
  readonly rxPageSize: number | undefined;
  /** On `mode: 'auto'`, why it is not the devmem path; undefined where it is. */
  readonly fallback: Error | undefined;
  /** @internal */
  readonly pool: MemoryPool;
  /** @internal */
  readonly severalPerSocket: boolean;
  /** @internal What reads its sockets, in errors. */
  readonly readsBy: string;
  /** @internal What to do where that failed. */
  readonly readHints: ReadonlyMap<number, string>;
  /** @internal */
  readonly divides: boolean;
  /** @internal The transport of a socket that the token queue could not take. */
  readonly unqueued: TransportName | undefined;
  /** @internal */
  readonly stallWarningMs: number;
  /**
   * @internal Memory that data waiting in sockets may take, in bytes: what neither held
   * fragments nor the rings need. Unlimited where such data is in the kernel's own memory.
   */
  readonly queueBytes: number;
  readonly #kernel: KernelSide | undefined;
  #closing: Promise<void> | undefined;

  private constructor(maker: symbol, parts: BindingParts) {
    checkMaker(maker, 'Binding', 'bindRx()');
    super();
    const { transport, pool, id, heldLimit: limit, rxPageSize: pageSize = PAGE } = parts;
    pool.open({ transport, id, pageSize, limit, queue: parts.queue });
    this.pool = pool;
    this.transport = transport.name;
    this.copies = transport.copies;
    this.severalPerSocket = transport.severalBindings;
    this.divides = transport.divides;
    this.unqueued = transport.unqueued;
    this.readsBy = transport.readsBy;
    this.readHints = transport.readHints;
    this.memory = pool.memory;
    this.id = id;
    this.interface = parts.interface;
    this.interfaceIndex = parts.kernel?.interfaceIndex;
    this.queues = parts.queues;
    this.fallback = parts.fallback;
    this.rxPageSize = transport.copies ? undefined : pageSize;
    this.stallWarningMs = parts.stallWarningMs;
    this.queueBytes = transport.queuesInMemory
      ? Math.max(pool.memory.size - limit - parts.ringBytes, 0)
      : Infinity;
    this.#kernel = parts.kernel;
    bindingsOfThread.add(this);
  }

  /** @internal */
  static make(parts: BindingParts): Binding {
    return new Binding(MAKER, parts);
  }

  /** Bytes of the memory that fragments in use keep from being filled again. */
  get heldBytes(): number {
    return this.pool.held;
  }

  /** Reading stops when `heldBytes` would pass this, in bytes. */
  get heldLimit(): number {
    return this.pool.limit;
  }

  /** Whether `close()` was called, or the binding was lost. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * The rx queues that the kernel has bound to this memory now: none after close(), on
   * the copy transport, and while the interface is down.
   *
   * @throws SystemError where the kernel refuses to tell
   */
  async rxQueues(): Promise<RxQueue[]> {
    return this.closed ? [] : ((await this.#kernel?.rxQueues()) ?? []);
  }

  /**
   * The page pools that hand out this memory. After close() those that still wait for
   * fragments to come back, `detached`; none on the copy transport. Of the transport `zcrx`,
   * all of the interface's that are io_uring's: the kernel does not tell them apart.
   *
   * @throws SystemError where the kernel refuses to tell
   */
  async pagePools(): Promise<PagePool[]> {
    return (await this.#kernel?.pagePools()) ?? [];
  }

  /** @internal The interface's state changed. */
  interfaceChanged(change: Omit<InterfaceMessage, 'bindingId'>): void {
    const message: InterfaceMessage = { bindingId: this.id, ...change };
    if (interfaceChannel.hasSubscribers) interfaceChannel.publish(message);
    this.emit('interface', message);
  }

  /** @internal The queues were unbound by somebody else. */
  lose(reason: Error): void {
    if (this.closed) return;
    this.close().catch((error: unknown) => {
      process.emitWarning(error as Error);
    });
    if (lostChannel.hasSubscribers) {
      const { id: bindingId, interface: name } = this;
      lostChannel.publish({ bindingId, interface: name, reason } satisfies BindingLostMessage);
    }
    if (this.emit('lost', reason)) return;
    process.emitWarning(reason.message, {
      type: 'DevmemBindingLostWarning',
      code: 'DEVMEM_BINDING_LOST',
      detail: "Listen to the binding's 'lost' event and bind again.",
    });
  }

  /**
   * Unbinds. A second call waits with the first.
   *
   * @throws DevmemError ERR_DEVMEM_STILL_BOUND where the kernel has no memory to give the
   *   queues buffers of their own: they go on filling this memory, which stays in use
   */
  close(): Promise<void> {
    this.#closing ??= this.#unbind();
    return this.#closing;
  }

  // It takes a while, in which the NIC may still write.
  async #unbind(): Promise<void> {
    if (this.#kernel !== undefined) await this.#kernel.unbind();
    this.pool.unbind();
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal */
  [inspect.custom](): object {
    return portrait('Binding', () => {
      const { transport, id, interface: name, queues, rxPageSize, memory } = this;
      const { heldBytes, heldLimit, closed, fallback } = this;
      const of = { transport, id, interface: name, queues, rxPageSize, memory };
      return { ...of, heldBytes, heldLimit, closed, fallback: fallback?.message };
    });
  }
}

const interfaceChannel = channel('devmem-tcp:interface');
const lostChannel = channel('devmem-tcp:binding-lost');

const PAGE = 4096;
