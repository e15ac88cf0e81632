/** What there is of a kind: in order, and keeping nothing alive. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { expect, it } from 'vitest';

import { Living } from '../../dist/living.js';
import { generator } from '../support/random.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

it('what was added and not taken out is there, in its order', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = generator(seed);
    const living = new Living<{ step: number }>();
    const expected: { item: { step: number }; takeOut: () => void }[] = [];
    for (let step = 0; step < 500; step++) {
      if (random(3) === 0) {
        expected.splice(random(expected.length + 1), 1)[0]?.takeOut();
      } else {
        const item = { step };
        expected.push({ item, takeOut: living.add(item) });
      }
    }
    expect([...living], `seed ${seed}`).toEqual(expected.map(({ item }) => item));
  }
});

it('what nobody else has any more is gone, and what somebody has is not', async () => {
  const living = new Living<object>();
  const kept = { kept: true };
  living.add(kept);
  for (let i = 0; i < 1000; i++) living.add({ i });
  // What was looked at in a turn is kept until its end.
  await nextTurn();
  collectGarbage();
  await nextTurn();
  for (let i = 0; i < 100; i++) living.add({ i });
  expect([...living].length).toBeLessThan(200);
  expect([...living]).toContain(kept);
});
