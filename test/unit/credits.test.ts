import { describe, expect, it } from 'vitest';

import { Credits, type Waiter } from '../../dist/receive/credits.js';

const LIMIT = 1000;
// What must be free for reading to go on at all.
const UNIT = 100;

class Sleeper implements Waiter {
  resumed = 0;
  resumeReading(): void {
    this.resumed++;
  }
}

// Native code writes what is held; so does this.
function creditsWith(held: number, unit = UNIT): Credits {
  const credits = new Credits(LIMIT, unit);
  credits.values[0] = held;
  return credits;
}

describe('credits', () => {
  it('are read from the memory that native code writes', () => {
    const credits = creditsWith(640);
    expect(credits.held).toBe(640);
    expect(credits.limit).toBe(LIMIT);
    expect([...credits.values]).toEqual([640, LIMIT, 100]);
  });

  it('let a waiter sleep until a quarter of the limit is free', () => {
    const credits = creditsWith(1000);
    const waiter = new Sleeper();
    credits.wait(waiter);
    credits.values[0] = 751;
    credits.released();
    expect(waiter.resumed).toBe(0);
    credits.values[0] = 750;
    credits.released();
    expect(waiter.resumed).toBe(1);
  });

  it('let a waiter sleep until a unit is free, where that is more than a quarter', () => {
    const credits = creditsWith(1000, 400);
    const waiter = new Sleeper();
    credits.wait(waiter);
    credits.values[0] = 601;
    credits.released();
    expect(waiter.resumed).toBe(0);
    credits.values[0] = 600;
    credits.released();
    expect(waiter.resumed).toBe(1);
  });

  it('wake a waiter once for each wait', () => {
    const credits = creditsWith(1000);
    const waiter = new Sleeper();
    credits.wait(waiter);
    credits.values[0] = 0;
    credits.released();
    credits.released();
    expect(waiter.resumed).toBe(1);
  });

  it('wake all who wait', () => {
    const credits = creditsWith(1000);
    const waiters = [new Sleeper(), new Sleeper(), new Sleeper()];
    for (const waiter of waiters) credits.wait(waiter);
    credits.values[0] = 0;
    credits.released();
    expect(waiters.map(({ resumed }) => resumed)).toEqual([1, 1, 1]);
  });

  it('wake at once who waits although enough is free', () => {
    const waiter = new Sleeper();
    creditsWith(100).wait(waiter);
    expect(waiter.resumed).toBe(1);
  });

  it('count a waiter that waits twice once', () => {
    const credits = creditsWith(1000);
    const waiter = new Sleeper();
    credits.wait(waiter);
    credits.wait(waiter);
    credits.values[0] = 0;
    credits.released();
    expect(waiter.resumed).toBe(1);
  });

  it('forget who gave up', () => {
    const credits = creditsWith(1000);
    const [stays, leaves] = [new Sleeper(), new Sleeper()];
    credits.wait(stays);
    credits.wait(leaves);
    credits.forget(leaves);
    credits.values[0] = 0;
    credits.released();
    expect([stays.resumed, leaves.resumed]).toEqual([1, 0]);
  });

  it('let a waiter that fills the memory again wait again, without end or loss', () => {
    const credits = creditsWith(1000);
    const greedy = new Sleeper();
    greedy.resumeReading = () => {
      greedy.resumed++;
      credits.values[0] = 1000;
      credits.wait(greedy);
    };
    credits.wait(greedy);
    credits.values[0] = 0;
    credits.released();
    expect(greedy.resumed).toBe(1);
    credits.values[0] = 0;
    credits.released();
    expect(greedy.resumed).toBe(2);
  });
});
