// @ts-check
/**
 * Builds a kernel after each single patch of a series, with the series' symbol on and
 * off, and tells which warnings of `make W=1` and sparse were not there before.
 *
 *   node kernel/lab/series.mjs RECIPE [SYMBOL]      such as: patched-6.1 NET_DEVMEM
 *   node kernel/lab/series.mjs --from 0038 RECIPE [SYMBOL]
 *   node kernel/lab/series.mjs --touched RECIPE [SYMBOL]
 *
 * Takes half an hour or more: whoever changes a header changes half of the kernel. What comes
 * by that is a kernel of the lab goes into its cache; nothing else is kept. With --from, what
 * stands before a patch is applied at once. With --touched, minutes: of each patch the objects
 * of the C files that it changes are compiled, with the symbol on.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';

import {
  adoptBuild,
  applyPatches,
  configurationOf,
  configure,
  linkTree,
  make,
  patchesOf,
} from './build.mjs';
import { ensureHostPackages } from './hostpackages.mjs';
import { KERNEL_RECIPES } from './kernels.mjs';
import { runTool } from './process.mjs';
import { LabError, createReporter, since } from './report.mjs';
import { ensureSource, withSourceLock } from './source.mjs';

/** What gcc, sparse and modpost complain of. */
const WARNING = /^.*(?:: warning: |: error: |WARNING: modpost: ).*$/gm;

const reporter = createReporter();

/** A tree with the first patches of a series, built. */
class Series {
  /** @type {string[]} */
  #applied = [];
  /** @type {Set<string> | undefined} of the unpatched source */
  #warnings;

  /**
   * @param {import('./kernels.mjs').KernelRecipe} recipe
   * @param {import('./source.mjs').Source} source
   * @param {string} tree
   * @param {string | undefined} symbol that the series adds, without CONFIG_
   * @param {'y' | 'n'} setting of it
   */
  constructor(recipe, source, tree, symbol, setting) {
    this.recipe = recipe;
    this.source = source;
    this.tree = tree;
    this.symbol = symbol;
    this.setting = setting;
  }

  get log() {
    return `${this.tree}.log`;
  }

  /** Whether the patches so far have the symbol. */
  get hasSymbol() {
    if (this.symbol === undefined) return false;
    const text = readFileSync(join(this.tree, 'net/Kconfig'), 'utf8');
    return text.includes(`config ${this.symbol}\n`);
  }

  /** @returns {string[]} patches to come */
  get left() {
    return patchesOf(this.recipe).slice(this.#applied.length);
  }

  /**
   * Applies the next patches, up to one, or none; builds and looks at what it changed.
   *
   * @param {string | undefined} patch
   * @returns {Promise<void>}
   */
  async step(patch) {
    const startedAt = performance.now();
    const known = patch === undefined ? undefined : await this.#sparse(objectsOf(patch));
    if (patch !== undefined) {
      await applyPatches([patch], this.tree);
      this.#applied.push(patch);
    }
    const configuration = await this.configure();
    const found = await this.#make(['vmlinux', 'modules']);
    this.#tell(patch, startedAt);
    if (patch === undefined) {
      this.#warnings = found;
    } else {
      for (const each of (await this.#sparse(objectsOf(patch))) ?? []) found.add(each);
      const fresh = [...found].filter((each) => !known?.has(each) && !this.#warnings?.has(each));
      for (const warning of fresh) reporter.alert(`  new: ${warning}`);
    }
    await adoptBuild(this.source, this.#applied, configuration, this.tree, this.log, reporter);
  }

  /**
   * Applies at once what stands before a patch.
   *
   * @param {string} from first letters of its file's name
   * @returns {Promise<void>}
   * @throws {LabError} where there is none
   */
  async skipTo(from) {
    const at = this.left.findIndex((patch) => basename(patch).startsWith(from));
    if (at < 0) throw new LabError(`--from: no patch of the series begins with '${from}'`);
    const before = this.left.slice(0, at);
    await applyPatches(before, this.tree);
    this.#applied.push(...before);
  }

  /** Configures the tree for the recipe; a symbol that there is not yet is off. */
  async configure() {
    const configuration = configurationOf(this.recipe);
    if (this.symbol !== undefined) {
      configuration.set(this.symbol, this.hasSymbol ? this.setting : 'n');
    }
    await configure(configuration, this.tree);
    return configuration;
  }

  /**
   * The same in another folder, to go on with another setting.
   *
   * @param {string} tree
   * @param {'y' | 'n'} setting
   */
  async copy(tree, setting) {
    await runTool('cp', ['--archive', this.tree, tree]);
    const copy = new Series(this.recipe, this.source, tree, this.symbol, setting);
    copy.#applied = [...this.#applied];
    copy.#warnings = this.#warnings;
    return copy;
  }

  /**
   * @param {string | undefined} patch
   * @param {number} startedAt
   */
  #tell(patch, startedAt) {
    const what = patch === undefined ? 'without patches' : basename(patch);
    const how = this.hasSymbol ? `, ${this.symbol ?? ''}=${this.setting}` : '';
    reporter.note(`${what}${how}: builds, ${since(startedAt)}`);
  }

  /**
   * Applies the next patch and compiles what it changes, which the configuration has.
   *
   * @param {string} patch
   * @returns {Promise<void>}
   */
  async touch(patch) {
    const startedAt = performance.now();
    const objects = objectsOf(patch);
    const known = (this.#warnings ??= new Set());
    const isThere = (/** @type {string} */ object) =>
      existsSync(join(this.tree, object.replace(/o$/, 'c')));
    const before = objects.filter(isThere);
    const without = await this.#compile(before, known, true);
    await applyPatches([patch], this.tree);
    this.#applied.push(patch);
    await this.configure();
    /** @type {Set<string>} */
    const found = new Set();
    const compiled = objects.filter((object) => !without.includes(object));
    await this.#compile(compiled.filter(isThere), found, false);
    reporter.note(
      `${basename(patch)}: ${compiled.length} of ${objects.length} objects compile, ${since(startedAt)}`,
    );
    for (const object of without) reporter.alert(`  not of this configuration: ${object}`);
    for (const warning of found) {
      if (!known.has(warning)) reporter.alert(`  new: ${warning}`);
      known.add(warning);
    }
  }

  /**
   * @param {readonly string[]} objects
   * @param {Set<string>} warnings what the compiler and sparse complain of is added
   * @param {boolean} some whether there may be objects that the configuration lacks
   * @returns {Promise<string[]>} those
   */
  async #compile(objects, warnings, some) {
    /** @type {string[]} */
    const missing = [];
    for (const object of objects) {
      try {
        for (const each of await this.#make(['C=2', object])) warnings.add(each);
      } catch (error) {
        if (!some || !(error instanceof LabError)) throw error;
        missing.push(object);
      }
    }
    return missing;
  }

  /** @param {readonly string[]} objects those that there are yet are checked */
  async #sparse(objects) {
    const there = objects.filter((object) => existsSync(join(this.tree, object)));
    return there.length === 0 ? undefined : this.#make(['C=2', '--keep-going', ...there]);
  }

  /**
   * @param {readonly string[]} targets
   * @returns {Promise<Set<string>>} warnings, without the numbers of their lines
   */
  async #make(targets) {
    rmSync(this.log, { force: true });
    await make(this.tree, ['W=1', ...targets], this.log);
    const warnings = readFileSync(this.log, 'utf8').match(WARNING) ?? [];
    return new Set(warnings.map((line) => line.replace(/:\d+(:\d+)?: /, ': ')));
  }
}

/**
 * @param {string} patch
 * @returns {string[]} objects of the C files that it changes
 */
function objectsOf(patch) {
  const changed = readFileSync(patch, 'utf8').matchAll(
    /^\+\+\+ b\/((?:net|drivers|io_uring)\/\S+)\.c$/gm,
  );
  return [...changed].map(([, file]) => `${file}.o`);
}

/**
 * A tree of the recipe's source, for as long as it takes.
 *
 * @param {string} name of a recipe
 * @param {(recipe: import('./kernels.mjs').KernelRecipe, source: import('./source.mjs').Source, work: string, tree: string) => Promise<void>} use
 */
async function withTree(name, use) {
  const recipe = KERNEL_RECIPES[name];
  if (!recipe) throw new LabError(`no recipe is called ${name}`);
  await ensureHostPackages(reporter, ['kernelBuild', 'sparse']);
  const source = await ensureSource(recipe.source, { update: false, reporter });
  const work = mkdtempSync(join(tmpdir(), 'series-'));
  try {
    const tree = join(work, 'y');
    await withSourceLock(recipe.source, () => linkTree(source.folder, tree), reporter);
    await use(recipe, source, work, tree);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * @param {string} name of a recipe
 * @param {string | undefined} symbol that the series adds, without CONFIG_; on once there is one
 */
async function compileTouched(name, symbol) {
  await withTree(name, async (recipe, source, _work, tree) => {
    const series = new Series(recipe, source, tree, symbol, 'y');
    await series.configure();
    for (const patch of series.left) await series.touch(patch);
  });
}

/**
 * @param {string} name of a recipe
 * @param {string | undefined} symbol that the series adds, without CONFIG_
 * @param {string} from first letters of the name of the first patch that is applied by itself
 */
async function buildSeries(name, symbol, from) {
  await withTree(name, async (recipe, source, work, tree) => {
    const on = new Series(recipe, source, tree, symbol, 'y');
    await on.step(undefined);
    await on.skipTo(from);
    // What is built before there is the symbol serves both settings.
    const [first] = on.left;
    if (symbol !== undefined && !on.hasSymbol && first !== undefined) await on.step(first);
    const off = symbol === undefined ? undefined : await on.copy(join(work, 'n'), 'n');
    for (const series of off === undefined ? [on] : [off, on]) {
      for (const patch of series.left) await series.step(patch);
      rmSync(series.tree, { recursive: true });
    }
  });
}

const USAGE = 'usage: node kernel/lab/series.mjs [--touched | --from PATCH] RECIPE [SYMBOL]';

function commandLine() {
  try {
    return parseArgs({
      options: {
        touched: { type: 'boolean', default: false },
        from: { type: 'string', default: '' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new LabError(`${error instanceof Error ? error.message : ''}\n${USAGE}`);
  }
}

try {
  const { values, positionals } = commandLine();
  const [name, symbol, ...rest] = positionals;
  if (name === undefined || rest.length > 0) throw new LabError(USAGE);
  await (values.touched ? compileTouched(name, symbol) : buildSeries(name, symbol, values.from));
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  reporter.alert(error.message);
  process.exit(error.status);
}
