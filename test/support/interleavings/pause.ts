import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import type { Random } from '../../soak/random.mjs';

/** How long somebody does nothing; a number is in milliseconds. */
export type Pause = 'none' | 'microtask' | 'turn' | number;

export function drawPause(random: Random): Pause {
  const kind = random.weighted({ none: 10, microtask: 4, turn: 5, short: 1, long: 0.1 });
  if (kind === 'short') return random.int(1, 3);
  if (kind === 'long') return random.int(5, 20);
  return kind;
}

export async function rest(pause: Pause): Promise<void> {
  if (pause === 'none') return;
  if (pause === 'microtask') await Promise.resolve();
  else if (pause === 'turn') await turn();
  else await delay(pause);
}
