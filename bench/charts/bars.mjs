// @ts-check
/** What the charts are made of. */
import { median, quantile } from '../lib/statistics.mjs';
import { TARGETS } from '../lib/targets.mjs';

/** @typedef {import('../lib/svg.mjs').Bar} Bar */
/** @typedef {import('../lib/svg.mjs').Chart} Chart */
/** @typedef {import('../lib/environment.mjs').Environment} Environment */

export const target = (/** @type {string} */ key) =>
  TARGETS.find((each) => each.key === key)?.limit;

/**
 * @param {string} label
 * @param {readonly number[]} samples
 * @param {{ target?: number | undefined, color?: number }} [more]
 * @returns {Bar}
 */
export function bar(label, samples, more = {}) {
  return {
    label,
    parts: [median(samples)],
    low: quantile(samples, 0.25),
    high: quantile(samples, 0.75),
    ...(more.target !== undefined && { target: more.target }),
    color: more.color ?? 0,
  };
}

/**
 * Those of the figures that are there and are ratios, with the targets that they have.
 * @param {Record<string, number>} figures
 * @param {string} suite
 * @param {string} title
 * @param {readonly (readonly [label: string, name: string])[]} rows
 */
export const ratios = (figures, suite, title, rows) => ({
  title,
  bars: rows.flatMap(([label, name]) => {
    const { [name]: value } = figures;
    if (value === undefined) return [];
    return [bar(label, [value], { target: target(`${suite}.${name}`), color: 4 })];
  }),
});

/** @param {Environment} environment */
export const where = ({ cpu, kernel, node, commit, date }) =>
  `${cpu}, Linux ${kernel}, Node.js ${node}, ${commit}, ${date.slice(0, 10)}. Lines: quartiles; red: target.`;
