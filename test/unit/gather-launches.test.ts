/** Launches, with a device that has two slots and ends them when the test says so. */
import { describe, expect, it } from 'vitest';

import { type Copy, Launches } from '../../dist/gather/launches.js';

interface Refusal {
  why: string;
}

class Device {
  readonly launches = new Launches<Refusal>(({ why }) => new Error(why));
  readonly log: string[] = [];
  #last = 0;
  #ended = 0;

  /** A copy of so many launches. `refused`: which one the device refuses. */
  copy(name: string, count: number, refused = 0): Copy<Refusal> {
    let started = 0;
    return {
      launch: () => {
        if (started === count) return undefined;
        if (this.#last - this.#ended === 2) return 0;
        if (++started === refused) return { why: `${name} refused` };
        this.log.push(`${name}${started}`);
        return ++this.#last;
      },
      done: (launch) => this.log.push(`done ${launch}`),
    };
  }

  end(launch: number, failure?: Refusal): void {
    this.launches.ended(launch, failure);
    this.#ended = launch;
    this.launches.resume();
  }

  run(name: string, count: number, refused?: number, ready?: Promise<void>): void {
    this.launches.run(this.copy(name, count, refused), ready).then(
      () => this.log.push(`${name} resolved`),
      (error: unknown) => this.log.push(`${name}: ${(error as Error).message}`),
    );
  }

  /** What happened since the last call. */
  async news(): Promise<string[]> {
    await new Promise(setImmediate);
    return this.log.splice(0);
  }
}

describe('launches', () => {
  it('are started in the order of the calls, as slots become free', async () => {
    const device = new Device();
    device.run('a', 1);
    device.run('b', 3);
    device.run('c', 1);
    expect(await device.news()).toEqual(['a1', 'b1']);
    device.end(1);
    expect(await device.news()).toEqual(['done 1', 'b2', 'a resolved']);
    device.end(3);
    expect(await device.news()).toEqual(['done 2', 'done 3', 'b3', 'c1']);
    device.end(5);
    expect(await device.news()).toEqual(['done 4', 'done 5', 'b resolved', 'c resolved']);
  });

  it('wait for a copy that is not ready, so that the order stays', async () => {
    const device = new Device();
    let begin = (): void => undefined;
    device.run('a', 1, 0, new Promise((resolve) => (begin = resolve)));
    device.run('b', 1);
    expect(await device.news()).toEqual([]);
    begin();
    expect(await device.news()).toEqual(['a1', 'b1']);
  });

  it('go on after a copy that could not be made ready', async () => {
    const device = new Device();
    device.run('a', 1, 0, Promise.reject(new Error('unregistered')));
    device.run('b', 1);
    expect(await device.news()).toEqual(['b1', 'a: unregistered']);
  });

  it('that were refused fail their copy only when those before have ended', async () => {
    const device = new Device();
    device.run('a', 3, 2);
    device.run('b', 1);
    expect(await device.news()).toEqual(['a1', 'b1']);
    device.end(1);
    expect(await device.news()).toEqual(['done 1', 'a: a refused']);
    device.end(2);
    expect(await device.news()).toEqual(['done 2', 'b resolved']);
  });

  it('that failed on the device fail each copy once', async () => {
    const device = new Device();
    device.run('a', 2);
    device.run('b', 1);
    await device.news();
    device.end(1);
    await device.news();
    device.end(3, { why: 'broken' });
    expect(await device.news()).toEqual(['a: broken', 'b: broken']);
  });

  it('of a copy that throws fail that one', async () => {
    const device = new Device();
    const copy = device.copy('a', 1);
    copy.done = () => {
      throw new Error('no room');
    };
    const failed = expect(device.launches.run(copy, undefined)).rejects.toThrow('no room');
    device.run('b', 1);
    device.end(2);
    await failed;
    expect(await device.news()).toEqual(['a1', 'b1', 'done 2', 'b resolved']);
  });

  it('are idle when all copies are settled', async () => {
    const device = new Device();
    await device.launches.idle();
    device.run('a', 3);
    void device.launches.idle().then(() => device.log.push('idle'));
    await device.news();
    device.end(2);
    expect(await device.news()).toEqual(['done 1', 'done 2', 'a3']);
    device.end(3);
    expect(await device.news()).toEqual(['done 3', 'a resolved', 'idle']);
  });
});
