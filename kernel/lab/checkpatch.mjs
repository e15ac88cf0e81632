// @ts-check
/** The kernel's own style checker on files of this tree. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { cacheRoot, publishFolder, withLock } from './cache.mjs';
import { ensureHostPackages } from './hostpackages.mjs';
import { searchPath } from './process.mjs';
import { extractFromSource } from './source.mjs';

const SOURCE = 'linux-6.12';
/** The script, and what it looks for beside itself. */
const SCRIPT = 'scripts/checkpatch.pl';
const FILES = [SCRIPT, 'scripts/spelling.txt', 'scripts/const_structs.checkpatch'];

/**
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<string>} checkpatch.pl, in the cache from the first time on
 */
async function ensureCheckpatch(reporter) {
  await ensureHostPackages(reporter, ['archive', 'checkpatch']);
  const home = join(cacheRoot(), 'checkpatch');
  const folder = join(home, SOURCE);
  await withLock(join(home, 'lock'), async () => {
    if (existsSync(folder)) return;
    reporter.note(`downloading checkpatch with the source of ${SOURCE} (150 MB, once)…`);
    await publishFolder(folder, (draft) => extractFromSource(SOURCE, FILES, draft, reporter));
  });
  return join(folder, SCRIPT);
}

/**
 * Checks files, and prints what is wrong with them.
 *
 * @param {readonly string[]} files source files, or patches by the ending .patch
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<number>} 0 where all are clean
 */
export async function runCheckpatch(files, reporter) {
  const script = await ensureCheckpatch(reporter);
  const paths = files.map((file) => resolve(file));
  const isPatch = (/** @type {string} */ file) => file.endsWith('.patch');
  const runs = [
    ['--file', ...paths.filter((file) => !isPatch(file))],
    ['--patch', ...paths.filter(isPatch)],
  ].filter((run) => run.length > 1);

  let status = 0;
  for (const run of runs) {
    // The files need not lie in a kernel source, nor is the kernel's history here; and
    // what is added to old kernels has no entry in their MAINTAINERS.
    // Whoever posts a patch signs it off.
    const alone = [
      '--no-tree',
      '--no-signoff',
      ...['--ignore', 'UNKNOWN_COMMIT_ID,FILE_PATH_CHANGES'],
    ];
    const args = [script, '--strict', '--quiet', ...alone, ...run];
    // Outside any repository: it takes patches that Git tracks for source files.
    const child = spawn('perl', args, {
      cwd: tmpdir(),
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, PATH: searchPath() },
    });
    const [code] = /** @type {[number | null]} */ (await once(child, 'exit'));
    status ||= code ?? 1;
  }
  return status;
}
