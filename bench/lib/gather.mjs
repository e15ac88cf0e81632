// @ts-check
/** Copying what a span holds to one place, timed, as readInto() does it. */
import { performance } from 'node:perf_hooks';

import { Engines } from '../../dist/gather/engines.js';
import { gather } from '../../dist/gather/gather.js';

/** @typedef {import('../../dist/index.js').DmaBuf} DmaBuf */
/** @typedef {import('../../dist/receive/batch.js').Batch} Batch */
/** What makes it up, which the published types leave out. @typedef {{ batches: readonly Batch[] }} Span */

/**
 * @param {DmaBuf} memory
 * @param {Uint8Array} target
 * @param {{ cold?: boolean }} [options] `cold`: nothing is copied before it counts, for the caches
 */
export function gatherTo(memory, target, { cold = false } = {}) {
  const engines = new Engines([memory], target);

  /** @param {Span} span */
  function once({ batches }) {
    void gather(batches, target, 0, engines);
    engines.endGo();
  }

  /**
   * @param {import('../../dist/index.js').Span} span of bytes in the memory
   * @returns {number} nanoseconds
   */
  return (span) => {
    const taken = /** @type {Span} */ (/** @type {unknown} */ (span));
    if (!cold) once(taken);
    const before = performance.now();
    once(taken);
    return (performance.now() - before) * 1e6;
  };
}
