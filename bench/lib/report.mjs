// @ts-check
/** Writing figures down, and showing them. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { readJson, writeJson } from './json.mjs';
import { holds, TARGETS } from './targets.mjs';

export const RESULTS = fileURLToPath(new URL('../results', import.meta.url));

/**
 * One suite's outcome: figures by name, and all that they were made of.
 * @typedef {object} Outcome
 * @property {Record<string, number>} figures
 * @property {Record<string, unknown>} samples
 */

/**
 * What is written: the figures of a suite by their names, the samples beside them.
 * @param {Outcome} outcome
 */
export const flatten = ({ figures, samples }) => ({ ...figures, samples });

/**
 * Keeps a suite's outcome among the results.
 * @param {string} suite
 * @param {Record<string, unknown>} report
 */
export function keep(suite, report) {
  mkdirSync(RESULTS, { recursive: true });
  writeJson(path.join(RESULTS, `${suite}.json`), report);
}

/** @param {string} suite */
export const readResult = (suite) => readJson(path.join(RESULTS, `${suite}.json`));

/**
 * A suite's figures as a table, those with a target marked.
 * @param {string} suite
 * @param {Outcome} outcome
 */
export function show(suite, { figures }) {
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  const lines = Object.entries(figures).map(([name, value]) => {
    const target = TARGETS.find(({ key }) => key === `${suite}.${name}`);
    const line = `  ${name.padEnd(width)}  ${format(value).padStart(9)}`;
    if (target === undefined) return line;
    const sign = target.holds === 'atLeast' ? '>=' : '<=';
    const verdict = holds(target, value) ? 'ok    ' : 'MISSED';
    return `${line}  ${verdict} ${sign} ${target.limit}  ${target.what}`;
  });
  process.stdout.write(`${suite}\n${lines.join('\n')}\n`);
}

/** @param {number} value */
function format(value) {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return String(Number(value.toPrecision(3)));
}
