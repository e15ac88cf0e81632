/**
 * Who receives into memory: one user at a time, since two would write over each other.
 * It is the memory that has a user, whatever DmaBufs there are of it: the same dma-buf
 * can be imported more than once, and by several threads.
 */
import { fstatSync } from 'node:fs';

import { DevmemError } from '../errors.js';
import { type MemoryClaim, native } from '../native.js';
import { MEMORY_STAYS } from '../uncloneable.js';

/** What receives into memory: a binding, or what is going to be one. */
export interface MemoryUser {
  /** Whether anything may still be written to the memory, or be read there. */
  readonly usesMemory: boolean;
}

/** What has an owner: a DmaBuf. */
export interface OwnedMemory {
  readonly ownership: Ownership;
}

/**
 * Makes `user` the one that receives into the memory, at once: from here on, and
 * while it `usesMemory`, nobody else gets it. Again for a user that has it: nothing changes.
 * Who used it and does no longer is succeeded.
 *
 * @throws DevmemError ERR_DEVMEM_MEMORY_IN_USE
 */
export function reserve(memory: OwnedMemory, user: MemoryUser): void {
  memory.ownership.reserve(user);
}

/**
 * Throws what `reserve()` would throw now, as far as this thread can tell.
 *
 * @throws DevmemError ERR_DEVMEM_MEMORY_IN_USE
 */
export function checkUnused(memory: OwnedMemory): void {
  memory.ownership.checkUnused(undefined);
}

/**
 * To be called whenever `user` may have ceased to use the memory: other threads
 * can have it then, and what had to wait for that is closed.
 */
export function settle(memory: OwnedMemory, user: MemoryUser): void {
  memory.ownership.settle(user);
}

/** One memory's, shared by all of a thread's DmaBufs of it. */
export class Ownership {
  readonly uncloneable = MEMORY_STAYS;
  readonly #claim: MemoryClaim;
  readonly #closings: (() => void)[] = [];
  #user: MemoryUser | undefined;

  constructor(memory: string) {
    this.#claim = new (native().MemoryClaim)(memory);
  }

  /** The last one that had the memory. */
  get user(): MemoryUser | undefined {
    return this.#user;
  }

  reserve(user: MemoryUser): void {
    this.checkUnused(user);
    if (!this.#claim.take()) throw inUse('in another thread of this process');
    this.#user = user;
  }

  checkUnused(user: MemoryUser | undefined): void {
    if (this.#user !== user && this.#user?.usesMemory === true) throw inUse('by another binding');
  }

  settle(user: MemoryUser): void {
    if (user.usesMemory || this.#user !== user) return;
    this.#claim.drop();
    for (const close of this.#closings.splice(0)) close();
  }

  /** Calls back once nobody receives into the memory: now, or in settle(). */
  whenUnused(close: () => void): void {
    if (this.#user?.usesMemory === true) this.#closings.push(close);
    else close();
  }
}

// Weak, so that memory can be collected with a binding that nobody closed.
const ownerships = new Map<string, WeakRef<Ownership>>();

const collected = new FinalizationRegistry((memory: string) => {
  if (ownerships.get(memory)?.deref() === undefined) ownerships.delete(memory);
});

/**
 * The memory behind a dma-buf, or a memfd. Each has an inode of its own, by
 * which it is known (drivers/dma-buf/dma-buf.c dma_buf_getfile), through whichever
 * descriptor it came.
 */
export function ownershipOf(fd: number): Ownership {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  const memory = `${dev}:${ino}`;
  const known = ownerships.get(memory)?.deref();
  if (known !== undefined) return known;
  const ownership = new Ownership(memory);
  ownerships.set(memory, new WeakRef(ownership));
  collected.register(ownership, memory);
  return ownership;
}

function inUse(how: string): DevmemError {
  return new DevmemError(
    'ERR_DEVMEM_MEMORY_IN_USE',
    `options.memory is in use ${how}: two bindings would write over each other. Close the binding that has it, close its sockets and release their fragments, or allocate more memory`,
  );
}
