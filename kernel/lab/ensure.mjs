// @ts-check
/** A kernel by its name, whichever way it comes into the cache. */
import { ensureBuilt } from './build.mjs';
import { ensureFetched } from './fetch.mjs';
import { KERNEL_LINES, KERNEL_RECIPES, kernelNames } from './kernels.mjs';
import { cachedKernel, kernelHome } from './layout.mjs';
import { LabError } from './report.mjs';

/**
 * @param {string} name
 * @param {{ update: boolean, reporter: import('./report.mjs').Reporter }} options update: look for a newer one now
 * @returns {Promise<import('./layout.mjs').Kernel>}
 * @throws {LabError}
 */
export async function ensureKernel(name, options) {
  const line = KERNEL_LINES[name];
  if (line) return ensureFetched(name, line, options);
  const recipe = KERNEL_RECIPES[name];
  if (recipe) return ensureBuilt(name, recipe, options);

  const placed = cachedKernel(kernelHome(name));
  if (placed) return placed;
  throw new LabError(
    `kernel ${name} is neither known (${kernelNames().join(', ')}) nor at ${kernelHome(name)}/current`,
  );
}
