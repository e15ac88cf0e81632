/** Room for a broker's clients: of all users, and of each. */
import { describe, expect, it } from 'vitest';

import { Seats } from '../../dist/ipc/seats.js';
import { seatRefusal } from '../../dist/nic/broker/policy.js';
import { generator } from '../support/random.js';
import { thrownBy } from '../support/thrown.js';

const ROOT = 0;
const OTHER = 1000;

describe('seats', () => {
  it('are refused beyond those of all, and beyond those of a user, each with its option', () => {
    const seats = new Seats(3, 2, seatRefusal);
    const leave = [seats.take(ROOT), seats.take(ROOT)];
    const own = thrownBy(() => seats.take(ROOT));
    expect(own).toMatchObject({ code: 'ERR_DEVMEM_BROKER_REFUSED' });
    expect(own.message).toMatch(/has 2 clients of user 0 already.*--max-clients-per-user/);
    seats.take(OTHER);
    const all = thrownBy(() => seats.take(OTHER));
    expect(all.message).toMatch(/has 3 clients already.*--max-clients lets/);
    leave.pop()?.();
    seats.take(OTHER);
    expect(seats.taken).toBe(3);
  });

  it('are as many as were taken and not given back, whoever comes and goes', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = generator(seed);
      const [max, maxPerUser] = [1 + random(8), 1 + random(8)];
      const seats = new Seats(max, maxPerUser, seatRefusal);
      const taken: { uid: number; leave: () => void }[] = [];
      for (let step = 0; step < 100; step++) {
        const uid = random(4);
        const own = taken.filter((each) => each.uid === uid).length;
        const when = `seed ${seed}, step ${step}`;
        if (random(2) === 0) {
          taken.splice(random(taken.length + 1), 1)[0]?.leave();
        } else if (taken.length < max && own < maxPerUser) {
          taken.push({ uid, leave: seats.take(uid) });
        } else {
          expect(() => seats.take(uid), when).toThrow('already');
        }
        expect(seats.taken, when).toBe(taken.length);
      }
    }
  });
});
