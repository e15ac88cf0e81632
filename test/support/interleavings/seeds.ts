/** Which interleavings are run, and how to run one again. */
import type { TransportName } from 'devmem-tcp';
import { Interleaving } from './interleaving.js';
import { drawScenario } from './scenario.js';
import { inTime } from './watchdog.js';

const BY_DEFAULT = 300;
const IN_A_TEST = 100;
// For what takes some milliseconds, on a machine that is busy.
const LIMIT_MS = 30_000;

/** Seeds that one test runs, the last included. */
export interface Seeds {
  first: number;
  last: number;
}

/** All of them: DEVMEM_INTERLEAVINGS tells how many, or DEVMEM_SEED names one. */
export function chooseSeeds(): Seeds[] {
  const { DEVMEM_SEED: one, DEVMEM_INTERLEAVINGS: count } = process.env;
  if (one !== undefined) return [{ first: Number(one), last: Number(one) }];
  const all = Number(count ?? BY_DEFAULT);
  return Array.from({ length: Math.ceil(all / IN_A_TEST) }, (_, index) => {
    const first = index * IN_A_TEST + 1;
    return { first, last: Math.min(first + IN_A_TEST - 1, all) };
  });
}

/** Rejects where a promise is broken, with all that is known of it. */
export async function interleave(seed: number, transport: TransportName): Promise<void> {
  const scenario = drawScenario(seed, transport);
  const interleaving = new Interleaving(scenario);
  try {
    await inTime(interleaving.run(), LIMIT_MS);
  } catch (error) {
    const explanation = [
      `seed ${seed}: ${error instanceof Error ? error.message : String(error)}`,
      `Again: DEVMEM_SEED=${seed} npx vitest run --project host test/host/reading-interleavings.test.ts -t ${transport}`,
      `Scenario: ${JSON.stringify(scenario)}`,
      `State: ${interleaving.state}`,
      `What was done last:\n${interleaving.journal.toString()}`,
    ].join('\n');
    throw new Error(explanation, { cause: error });
  }
}
