// @ts-check
/**
 * Builds a kernel after each single patch of a series, with the series' symbol on and
 * off, and with more of the compiler's warnings for the files that the patch changes.
 *
 *   node kernel/lab/series.mjs RECIPE [SYMBOL]      such as: patched-6.1 NET_DEVMEM
 *
 * Takes hours: whoever changes a header changes half of the kernel. Nothing is kept.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { applyPatches, configurationOf, configure, linkTree, make, patchesOf } from './build.mjs';
import { ensureHostPackages } from './hostpackages.mjs';
import { KERNEL_RECIPES } from './kernels.mjs';
import { LabError, createReporter, since } from './report.mjs';
import { ensureSource, withSourceLock } from './source.mjs';

/** Warnings that make(1) was asked to show, and the linker's of sections. */
const WARNING = /^.*(?:: warning: |WARNING: modpost: ).*$/gm;

const reporter = createReporter();

/**
 * @param {string} patch
 * @returns {string[]} objects of the C files that it changes
 */
function objectsOf(patch) {
  const changed = readFileSync(patch, 'utf8').matchAll(/^\+\+\+ b\/((?:net|drivers)\/\S+)\.c$/gm);
  return [...changed].map(([, file]) => `${file}.o`);
}

/**
 * @param {string} name of a recipe
 * @param {string | undefined} symbol that the series adds, without CONFIG_
 */
async function buildSeries(name, symbol) {
  const recipe = KERNEL_RECIPES[name];
  if (!recipe) throw new LabError(`no recipe is called ${name}`);
  await ensureHostPackages(reporter, ['kernelBuild']);
  const source = await ensureSource(recipe.source, { update: false, reporter });
  const settings = symbol === undefined ? ['y'] : ['y', 'n'];
  const work = mkdtempSync(join(tmpdir(), 'series-'));
  try {
    for (const setting of settings) {
      const tree = join(work, setting);
      const log = join(work, `${setting}.log`);
      await withSourceLock(recipe.source, () => linkTree(source.folder, tree), reporter);
      const configuration = configurationOf(recipe);
      if (symbol !== undefined) configuration.delete(symbol);
      for (const patch of patchesOf(recipe)) {
        const startedAt = performance.now();
        await applyPatches([patch], tree);
        if (symbol !== undefined && hasSymbol(tree, symbol)) configuration.set(symbol, setting);
        await configure(configuration, tree);
        await make(tree, ['vmlinux', 'modules'], log);
        rmSync(log);
        await make(tree, ['W=1', '--keep-going', ...objectsOf(patch)], log);
        const warnings = readFileSync(log, 'utf8').match(WARNING) ?? [];
        const what = symbol === undefined ? '' : `, ${symbol}=${setting}`;
        reporter.note(`${basename(patch)}${what}: builds, ${since(startedAt)}`);
        for (const warning of new Set(warnings)) reporter.alert(warning);
      }
      rmSync(tree, { recursive: true });
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * @param {string} tree
 * @param {string} symbol
 * @returns {boolean} whether the patches so far have it
 */
function hasSymbol(tree, symbol) {
  return readFileSync(join(tree, 'net/Kconfig'), 'utf8').includes(`config ${symbol}\n`);
}

const [name, symbol] = process.argv.slice(2);
try {
  if (name === undefined) throw new LabError('usage: node kernel/lab/series.mjs RECIPE [SYMBOL]');
  await buildSeries(name, symbol);
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  reporter.alert(error.message);
  process.exit(error.status);
}
