/** What transports differ in, so that nobody else asks for their names. */
import type { DmaBuf } from '../../memory/dma-buf.js';
import type { Mapping } from '../../native.js';

/**
 * How fragments arrive: by the kernel's devmem path (`cmsg`; with a queue of tokens shared
 * with the kernel, `queue`), by io_uring's zero-copy receive (`zcrx`), or copied to host
 * memory.
 */
export type TransportName = 'cmsg' | 'queue' | 'zcrx' | 'copy';

export interface Transport {
  readonly name: TransportName;
  /** Whether the CPU copies payload into the memory; else the NIC writes it there. */
  readonly copies: boolean;
  /** Whether a socket can receive into several bindings' memory. */
  readonly severalBindings: boolean;
  /** Whether a socket goes on, with linear data, when its binding is closed. */
  readonly outlivesBinding: boolean;
  /** What reads a socket, in errors. */
  readonly readsBy: string;
  /** What to do where that failed, by negative error number. */
  readonly readHints: ReadonlyMap<number, string>;
  /** Whether data that waits in sockets lies in the binding's memory. */
  readonly queuesInMemory: boolean;
  /** What a socket has that the thread's token queue could not take; undefined without one. */
  readonly unqueued: TransportName | undefined;
  /** Whether parts of a fragment can be given back by themselves. */
  readonly divides: boolean;
  /** The binding's id, where no kernel gives one. */
  makeId(): number;
  /** The memory as this transport writes to it itself; undefined where the NIC does. */
  mapping(memory: DmaBuf): Mapping | undefined;
}
