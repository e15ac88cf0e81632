// @ts-check
// Runs before `npm publish`: refuses what is not whole.
import { fileURLToPath } from 'node:url';

import { releaseFaults } from './faults.mjs';

const faults = releaseFaults(fileURLToPath(new URL('../..', import.meta.url)));
for (const fault of faults) process.stderr.write(`release: ${fault}\n`);
process.exitCode = faults.length === 0 ? 0 : 1;
