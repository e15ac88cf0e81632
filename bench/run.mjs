// @ts-check
// Measures, and keeps what was measured in bench/results:
//
//   npm run bench [-- --json FILE] [--quick] [micro|host|lab|compare]…
//
// --json FILE  writes the figures and all samples there too
// --quick      fewer and shorter samples, for a look: kept nowhere but in FILE
//
// docs/performance.md says what is measured and how. Figures say something only on a
// machine that does nothing else.
import { parseArgs } from 'node:util';

import { describeEnvironment } from './lib/environment.mjs';
import { writeJson } from './lib/json.mjs';
import { flatten, keep, show } from './lib/report.mjs';

/**
 * @typedef {object} SuiteOptions
 * @property {boolean} quick
 * @property {(text: string) => void} note tells what is being done
 */

/** @type {Record<string, (options: SuiteOptions) => Promise<import('./lib/report.mjs').Outcome>>} */
const SUITES = {
  micro: async (options) => (await import('./micro/micro.mjs')).micro(options),
  host: async (options) => (await import('./host/host.mjs')).host(options),
  lab: async (options) => (await import('./lab/lab.mjs')).lab(options),
  compare: async (options) => (await import('./lab/compare.mjs')).compare(options),
};

const { values, positionals } = parseArgs({
  options: { json: { type: 'string' }, quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !(name in SUITES));
if (unknown !== undefined) {
  throw new Error(`no suite '${unknown}': there are ${Object.keys(SUITES).join(', ')}`);
}

const { quick, json } = values;
/** @type {Record<string, unknown>} */
const report = { environment: describeEnvironment(), quick };
for (const name of positionals.length > 0 ? positionals : Object.keys(SUITES)) {
  const note = (/** @type {string} */ text) => process.stderr.write(`bench: ${name}: ${text}\n`);
  const environment = describeEnvironment();
  const started = performance.now();
  const outcome = await SUITES[name]?.({ quick, note });
  if (outcome === undefined) continue;
  note(`done in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  show(name, outcome);
  report[name] = flatten(outcome);
  if (!quick) keep(name, { environment, ...flatten(outcome) });
}
if (json !== undefined) writeJson(json, report);
