/** Memory has one user, by whichever descriptor it is known. */
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';

import { describe, expect, it } from 'vitest';

import { ownershipOf, type OwnedMemory, reserve, settle } from '../../dist/memory/ownership.js';
import { native, type OwnedFd } from '../../dist/native.js';
import { memfd } from '../support/memfd.js';
import { generator } from '../support/random.js';
import { thrownBy } from '../support/thrown.js';

const IN_USE = { name: 'DevmemError', code: 'ERR_DEVMEM_MEMORY_IN_USE' };

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

class User {
  constructor(public usesMemory = true) {}
}

/** The memory of a descriptor, as an object that imported it knows it. */
function known(file: OwnedFd): OwnedMemory & Disposable {
  const own = native().duplicateFd(file.fd) as OwnedFd;
  return { ownership: ownershipOf(own.fd), [Symbol.dispose]: () => own.close() };
}

const tryReserve = (memory: OwnedMemory, user: User): boolean => {
  try {
    reserve(memory, user);
    return true;
  } catch (error) {
    expect(error).toMatchObject(IN_USE);
    return false;
  }
};

/** A thread that reserves the memory of a descriptor, settles, and is told what to do by messages. */
class OtherThread implements AsyncDisposable {
  readonly #worker = new Worker(new URL('children/reserve-worker.mjs', import.meta.url));

  async ask(command: 'reserve' | 'settle', fd: number): Promise<unknown> {
    const answer = once(this.#worker, 'message');
    this.#worker.postMessage({ command, fd });
    return ((await answer) as [unknown])[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

describe('memory', () => {
  it('is reserved at once, for one user, whatever descriptor another has of it', () => {
    const file = memfd();
    using first = known(file);
    using second = known(file);
    const user = new User();
    reserve(first, user);
    for (const memory of [first, second]) {
      const error = thrownBy(() => reserve(memory, new User()));
      expect(error).toMatchObject(IN_USE);
      expect(error.message).toContain('by another binding');
    }
    reserve(second, user);
    user.usesMemory = false;
    reserve(second, new User());
    file.close();
  });

  it('has a user of its own, though it be of the same kind', () => {
    const files = [memfd(), memfd()];
    for (const file of files) {
      using memory = known(file);
      reserve(memory, new User());
    }
    for (const file of files) file.close();
  });

  it('closes what waited for its user when that is done, not for the one before', () => {
    const file = memfd();
    using memory = known(file);
    let closed = 0;
    const close = (): void => {
      closed++;
    };
    memory.ownership.whenUnused(close);
    expect(closed).toBe(1);
    const [first, second] = [new User(), new User()];
    reserve(memory, first);
    memory.ownership.whenUnused(close);
    settle(memory, first);
    first.usesMemory = false;
    reserve(memory, second);
    settle(memory, first);
    expect(closed).toBe(1);
    second.usesMemory = false;
    settle(memory, second);
    expect(closed).toBe(2);
    file.close();
  });

  it("is one thread's, until its user is done or the thread ends", async () => {
    const file = memfd();
    using memory = known(file);
    {
      await using other = new OtherThread();
      expect(await other.ask('reserve', file.fd)).toBe('reserved');
      const error = thrownBy(() => reserve(memory, new User()));
      expect(error).toMatchObject(IN_USE);
      expect(error.message).toContain('in another thread');
      expect(await other.ask('settle', file.fd)).toBe('settled');
      const user = new User();
      reserve(memory, user);
      expect(await other.ask('reserve', file.fd)).toBe(IN_USE.code);
      user.usesMemory = false;
      settle(memory, user);
      expect(await other.ask('reserve', file.fd)).toBe('reserved');
    }
    reserve(memory, new User());
    file.close();
  });

  it('is free again once all that knew it is collected, settled or not', async () => {
    const file = memfd();
    (() => {
      using memory = known(file);
      reserve(memory, new User());
    })();
    const free = async (): Promise<boolean> => {
      collectGarbage();
      await nextTurn();
      using memory = known(file);
      return tryReserve(memory, new User());
    };
    await expect.poll(free).toBe(true);
    file.close();
  });

  it("is never two users', in whatever order they come and go", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const files = Array.from({ length: 3 }, () => memfd());
      const oracles = files.map((file) => new Oracle([known(file), known(file)]));
      const random = generator(seed);
      for (let step = 0; step < 60; step++) {
        oracles[random(oracles.length)]!.step(random, `seed ${seed}, step ${step}`);
      }
      for (const oracle of oracles) oracle[Symbol.dispose]();
      for (const file of files) file.close();
    }
  });
});

/** Does something with one of several objects of one memory, and knows what has to come of it. */
class Oracle implements Disposable {
  readonly #memories: readonly (OwnedMemory & Disposable)[];
  #user = new User(false);
  #waiting = 0;
  #closed = 0;

  constructor(memories: readonly (OwnedMemory & Disposable)[]) {
    this.#memories = memories;
  }

  step(random: (below: number) => number, when: string): void {
    const memory = this.#memories[random(this.#memories.length)]!;
    const busy = this.#user.usesMemory;
    const closed = this.#closed;
    let closing = 0;
    switch (random(4)) {
      case 0: {
        const user = new User();
        expect(tryReserve(memory, user), when).toBe(!busy);
        if (!busy) this.#user = user;
        break;
      }
      case 1:
        this.#user.usesMemory = false;
        break;
      case 2:
        settle(memory, this.#user);
        if (!busy) closing = this.#waiting;
        this.#waiting -= closing;
        break;
      case 3:
        memory.ownership.whenUnused(() => this.#closed++);
        if (busy) this.#waiting++;
        else closing = 1;
        break;
    }
    expect(this.#closed - closed, when).toBe(closing);
  }

  [Symbol.dispose](): void {
    for (const memory of this.#memories) memory[Symbol.dispose]();
  }
}
