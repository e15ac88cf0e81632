// @ts-check
// Draws bench/results/*.svg from those of bench/results/*.json that are there:
//
//   npm run bench:plot
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { drawCompare } from './charts/compare.mjs';
import { drawHost } from './charts/host.mjs';
import { drawLab } from './charts/lab.mjs';
import { drawMicro } from './charts/micro.mjs';
import { drawTokenReturn } from './charts/token-return.mjs';
import { readResult, RESULTS } from './lib/report.mjs';
import { barChart } from './lib/svg.mjs';

/** @typedef {import('./lib/svg.mjs').Chart} Chart */

/** @type {Record<string, (result: never) => Chart>} */
const CHARTS = {
  micro: drawMicro,
  host: drawHost,
  lab: drawLab,
  compare: drawCompare,
  'token-return': drawTokenReturn,
};

for (const [name, draw] of Object.entries(CHARTS)) {
  if (!existsSync(path.join(RESULTS, `${name}.json`))) continue;
  const file = path.join(RESULTS, `${name}.svg`);
  writeFileSync(file, barChart(draw(/** @type {never} */ (readResult(name)))));
  process.stdout.write(`${path.relative('', file)}\n`);
}
