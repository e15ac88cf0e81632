// @ts-check
/** What a fragment costs by each way of telling of it and of giving it back. */
import { median } from '../lib/statistics.mjs';

/** @typedef {import('../lib/svg.mjs').Chart} Chart */
/** @typedef {import('../lib/environment.mjs').Environment} Environment */
/** @typedef {import('../lab/tokens.mjs').Sample} Sample */
/** @typedef {{ environment: Environment, samples: Record<string, import('../lab/tokens.mjs').Samples> }} TokenReturnResult by kernel */

const PARTS = /** @type {const} */ (['receiving', 'looking', 'returning']);

/**
 * @param {TokenReturnResult} result
 * @returns {Chart}
 */
export function drawTokenReturn({ environment, samples }) {
  const kinds = [...new Set(Object.values(samples).flatMap((ofKernel) => Object.keys(ofKernel)))];
  return {
    title: 'Instructions a fragment, of kernel and user space',
    legend: ['receiving', 'looking', 'giving back'],
    panels: kinds.map((kind) => ({
      title: kind,
      bars: Object.entries(samples).flatMap(([kernel, ofKernel]) =>
        Object.entries(ofKernel[kind] ?? {}).map(([way, ofWay]) => ({
          label: `${kernel}, ${way}`,
          parts: PARTS.map((part) => median(ofWay.map((each) => each[part] / each.fragments))),
        })),
      ),
    })),
    note: `Counted in an emulated guest, Linux 7.3.4, ${environment.commit}, ${environment.date.slice(0, 10)}.`,
  };
}
