// @ts-check
/** Builds the software NIC for a kernel, beside the working tree and only when something changed. */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, relative } from 'node:path';

import { cacheRoot, keepNewest, publishFolder, withLock } from './cache.mjs';
import { tryTool } from './process.mjs';
import { LabError, since } from './report.mjs';

/** What belongs to a module's source. All else in the folder is there for people, or left by a build by hand. */
const SOURCE = /(?:^|\/)(?:Kbuild|Makefile|Kconfig)$|\.(?:c|h|S|sh|mk)$/;
/** …but for what kbuild itself generates. */
const GENERATED = '.mod.c';

/** The compiler's or modpost's; not kbuild's own, about pahole and the compiler's version. */
const WARNING = /:\d+: warning: |^WARNING: modpost: /m;

/** How many builds per kernel stay in the cache: a megabyte each. */
const KEPT_BUILDS = 20;

/**
 * @param {string} folder
 * @returns {string[]} its source files, relative, in a fixed order
 */
function sourceFiles(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => SOURCE.test(path) && !path.endsWith(GENERATED))
    .sort();
}

/**
 * @param {string} source the module's folder
 * @param {import('./layout.mjs').Kernel} kernel
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<string>} the .ko
 * @throws {LabError} with the compiler's output
 */
export async function buildDriver(source, kernel, reporter) {
  if (!existsSync(join(source, 'Kbuild')) && !existsSync(join(source, 'Makefile'))) {
    throw new LabError(`no driver source in ${source} (--no-sim boots without it)`);
  }
  const files = sourceFiles(source);
  const hash = createHash('sha256').update(`${kernel.name} ${kernel.version} ${kernel.release}\n`);
  for (const file of files) {
    const content = readFileSync(join(source, file));
    hash.update(`${file} ${content.length}\n`).update(content);
  }
  const builds = join(cacheRoot(), 'modules', `${kernel.name}-${kernel.version}`);
  const target = join(builds, hash.digest('hex').slice(0, 16));

  await withLock(join(builds, 'lock'), async () => {
    if (existsSync(target)) return;
    const startedAt = performance.now();
    reporter.note(`building ${basename(source)} for ${kernel.release}…`);
    await publishFolder(target, async (draft) => {
      for (const file of files) cpSync(join(source, file), join(draft, file));
      const { status, output } = await tryTool('make', [
        `--jobs=${availableParallelism()}`,
        ...['-C', kernel.headers, `M=${draft}`, 'modules'],
      ]);
      // Paths of the draft mean nothing to the reader: show the source's.
      const shown = output.replaceAll(draft, relative(process.cwd(), source) || '.').trimEnd();
      if (status !== 0) throw new LabError(`${basename(source)} does not compile:\n${shown}`);
      if (WARNING.test(shown)) reporter.alert(`the compiler warns:\n${shown}`);
    });
    keepNewest(builds, KEPT_BUILDS);
    forgetRemovedKernels();
    reporter.note(`built in ${since(startedAt)}`);
  });

  const module = readdirSync(target).find((name) => name.endsWith('.ko'));
  if (!module) throw new LabError(`the build of ${source} makes no .ko`);
  return join(target, module);
}

/** Removes the builds for kernels that are no longer in the cache. */
function forgetRemovedKernels() {
  const kernels = join(cacheRoot(), 'kernels');
  const there = new Set(
    readdirSync(kernels).flatMap((name) =>
      readdirSync(join(kernels, name)).map((version) => `${name}-${version}`),
    ),
  );
  const modules = join(cacheRoot(), 'modules');
  for (const name of readdirSync(modules).filter((each) => !there.has(each))) {
    rmSync(join(modules, name), { recursive: true, force: true });
  }
}
