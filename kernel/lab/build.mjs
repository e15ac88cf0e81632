// @ts-check
/**
 * Builds kernels from Debian's source: once for each content of source, patches,
 * configuration and compiler. What is kept lies in the cache as a fetched kernel does.
 */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { keepNewest, publishFolder, withLock } from './cache.mjs';
import { runLogged } from './children.mjs';
import { ensureHostPackages } from './hostpackages.mjs';
import { differences, mergeFragments, renderConfiguration } from './kconfig.mjs';
import { KERNEL_RECIPES } from './kernels.mjs';
import { KEPT_VERSIONS, cachedKernel, kernelHome, pointTo } from './layout.mjs';
import { runTool } from './process.mjs';
import { LabError, since } from './report.mjs';
import { ensureSource, withSourceLock } from './source.mjs';

const FRAGMENTS = fileURLToPath(new URL('config', import.meta.url));
const PATCHES = fileURLToPath(new URL('../patches', import.meta.url));

/** Part of the key: raised whenever this file makes something else of the same source. */
const RECIPE_FORMAT = 1;

/** Makes a kernel the same whoever builds it where. */
const ANONYMOUS = Object.freeze(['KBUILD_BUILD_USER=lab', 'KBUILD_BUILD_HOST=lab']);

/**
 * QEMU enters vmlinux at arch/x86/platform/pvh/enlighten.c, before KASAN has its shadow,
 * and that calls memcmp() of lib/string.c. Later kernels do not, and leave the
 * former out by themselves; 6.1 died there without a word.
 */
const BOOTABLE = Object.freeze(['KASAN_SANITIZE_enlighten.o=n', 'KASAN_SANITIZE_string.o=n']);

/** How often a running build is reported. */
const PROGRESS_MS = 60_000;

/** How much of a failed build's log is shown. */
const SHOWN_LOG_LINES = 30;

/** The first line of what went wrong: the compiler's, modpost's, the linker's, else make's. */
const FAILURE = /\berror: |^ERROR: |undefined reference|\*\*\* /;

/**
 * What kbuild needs to build a module outside the tree. The rest of a build is a
 * gigabyte of objects.
 */
const MODULE_BUILD_FILES = Object.freeze([
  ...['Makefile', '.config', 'Module.symvers', 'include', 'scripts', 'tools/objtool/objtool'],
  ...['arch/x86/Makefile', 'arch/x86/Makefile_32.cpu', 'arch/x86/include'],
]);

/**
 * @typedef {object} Plan
 * @property {string} version   of the result: the source's, and a hash of all that goes in
 * @property {import('./source.mjs').Source} source
 * @property {readonly string[]} patches paths, in the order in which they apply
 * @property {import('./kconfig.mjs').Configuration} configuration
 */

/**
 * The kernel of a recipe, built where the cache lacks it.
 *
 * @param {string} name
 * @param {import('./kernels.mjs').KernelRecipe} recipe
 * @param {{ update: boolean, reporter: import('./report.mjs').Reporter }} options update: look for newer source now
 * @returns {Promise<import('./layout.mjs').Kernel>}
 * @throws {LabError} with what the build's log says about a failure
 */
export async function ensureBuilt(name, recipe, { update, reporter }) {
  const home = kernelHome(name);
  return withLock(
    join(home, 'lock'),
    async () => {
      const source = await withSourceLock(
        recipe.source,
        () => ensureSource(recipe.source, { update, reporter }),
        reporter,
      );
      const plan = await planBuild(recipe, source);
      const folder = join(home, plan.version);
      const cached = existsSync(folder);
      if (!cached) await build(name, recipe, plan, reporter);
      // Used now: whoever goes back to an older content must not lose it next.
      utimesSync(folder, new Date(), new Date());
      pointTo(home, plan.version);
      keepNewest(home, KEPT_VERSIONS);

      const kernel = cachedKernel(home);
      if (!kernel) throw new LabError(`${home} holds no kernel after building one`);
      if (cached) reporter.note(`kernel ${kernel.release} (cached)`);
      return kernel;
    },
    () => reporter.note(`waiting for another lab that is building ${name}…`),
  );
}

/**
 * @param {import('./kernels.mjs').KernelRecipe} recipe
 * @param {import('./source.mjs').Source} source
 * @returns {Promise<Plan>}
 */
async function planBuild(recipe, source) {
  return planOf(source, patchesOf(recipe), configurationOf(recipe));
}

/**
 * @param {import('./source.mjs').Source} source
 * @param {readonly string[]} patches paths, in the order in which they apply
 * @param {import('./kconfig.mjs').Configuration} configuration
 * @returns {Promise<Plan>}
 */
async function planOf(source, patches, configuration) {
  const compiler = (await runTool('gcc', ['--version'])).split('\n')[0];
  const hash = createHash('sha256');
  hash.update(JSON.stringify([RECIPE_FORMAT, compiler, renderConfiguration(configuration)]));
  for (const patch of patches) hash.update(changesOf(patch)).update('\0');
  const version = `${source.version}-${hash.digest('hex').slice(0, 12)}`;
  return { version, source, patches, configuration };
}

/**
 * Puts into the cache what was built elsewhere, where it is a kernel of the lab's.
 *
 * @param {import('./source.mjs').Source} source
 * @param {readonly string[]} patches those that it has
 * @param {import('./kconfig.mjs').Configuration} configuration
 * @param {string} tree where it was built; stays as it is
 * @param {string} log
 * @param {import('./report.mjs').Reporter} reporter
 */
export async function adoptBuild(source, patches, configuration, tree, log, reporter) {
  const { version } = await planOf(source, patches, configuration);
  for (const [name, recipe] of Object.entries(KERNEL_RECIPES)) {
    const plan = await planBuild(recipe, source);
    const home = kernelHome(name);
    const folder = join(home, version);
    if (plan.version !== version || existsSync(folder)) continue;
    await withLock(join(home, 'lock'), async () => {
      if (existsSync(folder)) return;
      await publishFolder(folder, (draft) => keepResult(tree, draft, log));
      pointTo(home, version);
      keepNewest(home, KEPT_VERSIONS);
      reporter.note(`this is ${name}: kept`);
    });
  }
}

/**
 * @param {import('./kernels.mjs').KernelRecipe} recipe
 * @returns {import('./kconfig.mjs').Configuration} of its fragments together
 */
export function configurationOf(recipe) {
  return mergeFragments(
    recipe.fragments.map((name) => readFileSync(join(FRAGMENTS, name), 'utf8')),
  );
}

/** As `git format-patch` names them; 0000 is the cover letter. */
const PATCH = /^(?!0000)\d{4}-.*\.patch$/;

/**
 * @param {import('./kernels.mjs').KernelRecipe} recipe
 * @returns {string[]} paths of its patches, in the order in which they apply
 */
export function patchesOf(recipe) {
  return recipe.patches.flatMap((each) => {
    const [series = '', last = '9999'] = each.split('/');
    const folder = join(PATCHES, series);
    const names = readdirSync(folder).filter((name) => PATCH.test(name));
    const upTo = names.filter((name) => name.slice(0, last.length) <= last);
    return upTo.sort().map((name) => join(folder, name));
  });
}

/**
 * What a patch changes: another message makes no other kernel.
 * @param {string} patch
 */
function changesOf(patch) {
  const text = readFileSync(patch, 'utf8');
  return text.slice(text.indexOf('\ndiff --git '));
}

/**
 * @param {string} name
 * @param {import('./kernels.mjs').KernelRecipe} recipe
 * @param {Plan} plan
 * @param {import('./report.mjs').Reporter} reporter
 */
async function build(name, recipe, plan, reporter) {
  await ensureHostPackages(reporter, ['kernelBuild']);
  const home = kernelHome(name);
  const log = join(home, 'build.log');
  rmSync(log, { force: true });
  // Of builds that were killed, each a gigabyte: nobody else is at work here.
  for (const draft of readdirSync(home).filter((entry) => entry.startsWith('.'))) {
    rmSync(join(home, draft), { recursive: true });
  }
  const startedAt = performance.now();
  reporter.note(
    `building ${recipe.source} (${plan.source.version}) for ${name}, about 10 minutes on two idle CPUs; log in ${log}`,
  );
  await publishFolder(join(home, plan.version), async (draft) => {
    const tree = join(draft, 'build');
    await withSourceLock(recipe.source, () => linkTree(plan.source.folder, tree), reporter);
    await applyPatches(plan.patches, tree);
    await configure(plan.configuration, tree);
    const stop = reportProgress(name, log, startedAt, reporter);
    try {
      await make(tree, ['vmlinux', 'modules'], log);
    } finally {
      stop();
    }
    await keepResult(tree, draft, log);
    rmSync(tree, { recursive: true });
  });
  reporter.note(`built in ${since(startedAt)}`);
}

/**
 * A copy that costs no space: what a patch or the build changes is replaced, never
 * written into, so the shared files stay as they are.
 *
 * @param {string} source
 * @param {string} tree
 */
export async function linkTree(source, tree) {
  await runTool('cp', ['--archive', '--link', source, tree]);
}

/**
 * @param {readonly string[]} patches
 * @param {string} tree
 */
export async function applyPatches(patches, tree) {
  for (const patch of patches) {
    // No fuzz: what does not fit exactly was made for another source.
    const options = ['--batch', '--forward', '--strip=1', '--fuzz=0', '--no-backup-if-mismatch'];
    await runTool('patch', [...options, `--input=${patch}`], { cwd: tree });
  }
}

/**
 * All symbols that the fragments do not name are off, or what Kconfig holds
 * indispensable. Kconfig works out the order of dependencies.
 *
 * @param {import('./kconfig.mjs').Configuration} wanted
 * @param {string} tree
 * @throws {LabError} naming what did not come out as wanted
 */
export async function configure(wanted, tree) {
  const file = join(tree, '.wanted.config');
  writeFileSync(file, renderConfiguration(wanted));
  await runTool('make', ['-C', tree, `KCONFIG_ALLCONFIG=${file}`, 'allnoconfig']);
  const wrong = differences(wanted, readFileSync(join(tree, '.config'), 'utf8'));
  if (wrong.length > 0) {
    throw new LabError(`the kernel cannot be configured as wanted:\n${wrong.join('\n')}`);
  }
}

/**
 * @param {string} tree
 * @param {readonly string[]} targets and variables
 * @param {string} log
 */
export async function make(tree, targets, log) {
  const options = [
    `--jobs=${availableParallelism()}`,
    '-C',
    tree,
    ...ANONYMOUS,
    ...BOOTABLE,
    ...targets,
  ];
  // Minutes of all CPUs: whoever works here comes first.
  const status = await runLogged('nice', ['-n', '10', 'make', ...options], log);
  if (status === 0) return;
  throw new LabError(
    `make ${targets.join(' ')} failed with status ${status}; from ${log}:\n${failureIn(readFileSync(log, 'utf8'))}`,
  );
}

/**
 * The part of a build's log that tells why it failed. Parallel jobs go on for a while,
 * so that is not the log's end.
 *
 * @param {string} log
 * @returns {string}
 */
function failureIn(log) {
  const lines = log.trimEnd().split('\n');
  const first = lines.findIndex((line) => FAILURE.test(line));
  const start = first < 0 ? -SHOWN_LOG_LINES : Math.max(0, first - 2);
  return lines.slice(start).slice(0, SHOWN_LOG_LINES).join('\n');
}

/**
 * @param {string} name
 * @param {string} log
 * @param {number} startedAt
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {() => void} ends it
 */
function reportProgress(name, log, startedAt, reporter) {
  const timer = setInterval(() => {
    const steps = readFileSync(log, 'utf8').split('\n').length;
    reporter.note(`building ${name}: ${since(startedAt)}, ${steps} steps`);
  }, PROGRESS_MS);
  return () => clearInterval(timer);
}

/**
 * Puts what is kept of a build into the cache's layout.
 *
 * @param {string} tree
 * @param {string} folder
 * @param {string} log
 */
async function keepResult(tree, folder, log) {
  const release = (await runTool('make', ['-s', '-C', tree, 'kernelrelease'])).trim();
  // QEMU starts an ELF file without unpacking anything. Its symbols are in kallsyms.
  await runTool('strip', ['--strip-all', '-o', join(folder, 'vmlinuz'), join(tree, 'vmlinux')]);
  cpSync(join(tree, '.config'), join(folder, 'config'));
  await make(tree, [`INSTALL_MOD_PATH=${folder}`, 'modules_install'], log);
  // Points into the tree, which goes.
  rmSync(join(folder, 'lib/modules', release, 'build'), { force: true });

  const headers = join(folder, 'headers', release);
  mkdirSync(headers, { recursive: true });
  const archive = join(folder, 'headers.tar');
  const without = ['*.o', '*.a', '*.cmd'].map((pattern) => `--exclude=${pattern}`);
  await runTool('tar', ['-C', tree, ...without, '-cf', archive, ...MODULE_BUILD_FILES]);
  await runTool('tar', ['-C', headers, '-xf', archive]);
  rmSync(archive);
  cpSync(join(tree, 'System.map'), join(folder, 'System.map'));
  writeFileSync(join(folder, 'release'), `${release}\n`);
}
