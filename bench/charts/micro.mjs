// @ts-check
/** What a piece of this package costs. */
import { bar, target, where } from './bars.mjs';

/** @typedef {import('../lib/svg.mjs').Chart} Chart */
/** @typedef {import('../lib/environment.mjs').Environment} Environment */
/** @typedef {Record<string, number[]>} Series */
/** @typedef {{ environment: Environment, samples: { javascript: Series, native: Series, paths: Record<string, Series> } }} MicroResult */

/**
 * @param {MicroResult} result
 * @returns {Chart}
 */
export function drawMicro({ environment, samples: { javascript, native, paths } }) {
  /**
   * @param {string} label
   * @param {number[] | undefined} samples
   * @param {string} [key]
   */
  const row = (label, samples = [], key = '') => bar(label, samples, { target: target(key) });
  return {
    title: 'What a fragment costs, in nanoseconds',
    legend: [],
    panels: [
      {
        title: 'ns per fragment, by way of reading',
        bars: [
          bar('an empty loop', javascript.emptyLoop ?? [], { color: 1 }),
          row('batch.forEach()', javascript.forEach, 'micro.forEachNs'),
          row('batch.offset(i), batch.size(i)', javascript.accessors),
          row('for…of a batch', javascript.batchOf, 'micro.batchOfNs'),
          row('for await of a socket', javascript.fragIter, 'micro.fragIterNs'),
          bar('the same, of nothing', javascript.emptyIter ?? [], { color: 1 }),
        ],
      },
      {
        title: 'ns per fragment, in native code',
        bars: [
          row('parsing its record', native.parse, 'micro.parseNs'),
          row('batch.release()', paths[64]?.release, 'micro.releaseNs'),
          row('one by one, shuffled', paths[64]?.releaseShuffled),
        ],
      },
      {
        title: 'ns per fragment, wake to release, kernel aside (red: 200 Gbit/s)',
        bars: Object.entries(paths).flatMap(([batch, path]) => [
          bar(`batches of ${batch}`, path.batches ?? [], { target: 164 }),
          bar(`the same, for await`, path.fragments ?? [], { target: 164, color: 2 }),
        ]),
      },
    ],
    note: where(environment),
  };
}
