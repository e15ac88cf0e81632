#!/usr/bin/env node
// @ts-check
/**
 * The selftests that a kernel's patches bring, built as the kernel's own Makefiles build
 * them, against its own headers. They lie in the cache:
 *
 *     selftests/KERNEL/HASH/PROGRAM
 *
 * `node kernel/lab/selftests.mjs KERNEL` builds them where they are not there yet, and
 * prints their paths.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { applyPatches, linkTree, patchesOf } from './build.mjs';
import { cacheRoot, keepNewest, publishFolder, withLock } from './cache.mjs';
import { ensureHostPackages } from './hostpackages.mjs';
import { KERNEL_RECIPES } from './kernels.mjs';
import { runTool } from './process.mjs';
import { LabError, STATUS, createReporter } from './report.mjs';
import { ensureSource, withSourceLock } from './source.mjs';

const FOLDER = 'tools/testing/selftests/net';

/** In a patch, a program that it adds. */
const ADDED = new RegExp(`^--- /dev/null\\n\\+\\+\\+ b/${FOLDER}/(\\w+)\\.c$`, 'gm');

/**
 * @param {string} kernel of the lab's
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<string[]>} paths of the programs; none for a kernel that has no patches with any
 * @throws {LabError}
 */
export async function ensureSelftests(kernel, reporter) {
  const recipe = KERNEL_RECIPES[kernel];
  if (recipe === undefined) return [];
  const patches = patchesOf(recipe);
  const programs = patches.flatMap(programsOf);
  if (programs.length === 0) return [];
  const home = join(cacheRoot(), 'selftests', kernel);
  return withLock(join(home, 'lock'), async () => {
    const folder = join(home, contentHash(patches));
    if (!existsSync(folder)) {
      await ensureHostPackages(reporter, ['archive', 'moduleBuild', 'kernelBuild']);
      reporter.note(`building selftests for ${kernel}: ${programs.join(', ')}…`);
      await publishFolder(folder, (draft) => build(recipe.source, patches, draft, reporter));
    }
    keepNewest(home, 2);
    return programs.map((program) => join(folder, program));
  });
}

/**
 * @param {string} patch
 * @returns {string[]} those that it adds
 */
const programsOf = (patch) =>
  [...readFileSync(patch, 'utf8').matchAll(ADDED)].map(([, name = '']) => name);

/** @param {readonly string[]} patches */
function contentHash(patches) {
  const hash = createHash('sha256').update(readFileSync(fileURLToPath(import.meta.url)));
  for (const patch of patches) hash.update(readFileSync(patch));
  return hash.digest('hex').slice(0, 12);
}

/**
 * @param {string} sourceName
 * @param {readonly string[]} patches
 * @param {string} draft
 * @param {import('./report.mjs').Reporter} reporter
 */
async function build(sourceName, patches, draft, reporter) {
  const tree = join(draft, 'tree');
  const take = async () => {
    const { folder } = await ensureSource(sourceName, { update: false, reporter });
    await linkTree(folder, tree);
  };
  await withSourceLock(sourceName, take, reporter);
  await applyPatches(patches, tree);
  await runTool('make', ['--silent', 'headers'], { cwd: tree });
  const headers = `KHDR_INCLUDES=-isystem ${join(tree, 'usr/include')}`;
  const programs = patches.flatMap(programsOf).map((program) => join(draft, program));
  await runTool('make', ['-C', FOLDER, headers, `OUTPUT=${draft}`, ...programs], { cwd: tree });
  rmSync(tree, { recursive: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const reporter = createReporter();
  const [, , kernel = ''] = process.argv;
  try {
    if (!(kernel in KERNEL_RECIPES)) {
      const names = Object.keys(KERNEL_RECIPES).join(', ');
      throw new LabError(`KERNEL is one of ${names}; not ${JSON.stringify(kernel)}`, STATUS.usage);
    }
    for (const path of await ensureSelftests(kernel, reporter)) process.stdout.write(`${path}\n`);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    reporter.alert(error.message);
    process.exitCode = error.status;
  }
}
