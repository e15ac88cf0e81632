// @ts-check
/** The soak's driver, in the guest: node --expose-gc main.mjs --minutes N --seed S */
import { release } from 'node:os';
import { inspect, parseArgs } from 'node:util';

import { Random } from './random.mjs';
import { Journal, table } from './report.mjs';
import { Soak } from './soak.mjs';
import { describeKernel } from './surroundings.mjs';

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' } },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);

const journal = new Journal();
const violated = new Promise((_resolve, reject) => {
  journal.onViolation(reject);
});
process.on('uncaughtException', (error, origin) => {
  journal.violate(`${origin}: ${error.stack ?? String(error)}`);
});
process.on('warning', (/** @type {Error & { code?: string }} */ warning) => {
  // A server whose binding is closed under it on purpose says so, where a connection that
  // began before is accepted only after.
  if (warning.code === 'DEVMEM_SERVER_WITHOUT_BINDING') {
    journal.event(`warning ${warning.code}`);
    return;
  }
  journal.violate(`a warning: ${warning.stack ?? warning.message}`);
});

const soak = new Soak(new Random(seed), journal);
await Promise.race([soak.run(minutes), violated]).catch((/** @type {unknown} */ error) => {
  if (journal.violation === undefined) journal.violate(inspect(error));
});

const { violation, counts } = journal;
if (violation !== undefined) {
  process.stderr.write(`${journal.tail.join('\n')}\n`);
  for (const line of soak.describe()) process.stderr.write(`${line}\n`);
  process.stderr.write(`${await describeKernel()}\n`);
}
process.stderr.write(`soak: seed ${seed}, kernel ${release()}, Node.js ${process.version}\n`);
process.stderr.write(table(counts));
const seconds = Math.round(journal.seconds);
const result = { seed, minutes, seconds, kernel: release(), node: process.version };
const outcome = { ...result, violation: violation?.message ?? null, counts, memory: soak.memory };
process.stdout.write(`${JSON.stringify(outcome, undefined, 2)}\n`);
if (violation !== undefined) {
  process.stderr.write(`soak: FAILED after ${seconds} s: ${violation.message}\n`);
  // Long enough for the peer to say what it is at.
  setTimeout(() => process.exit(1), 1000);
}
