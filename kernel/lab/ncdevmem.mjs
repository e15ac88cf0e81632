#!/usr/bin/env node
// @ts-check
/**
 * The kernel's own devmem TCP program, for tests against it: built from Debian's
 * kernel source into the cache, where alone it lies.
 *
 *     ncdevmem/HASH/ncdevmem
 *
 * `node kernel/lab/ncdevmem.mjs` builds it where it is not there yet, and prints its path.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { cacheRoot, keepNewest, publishFolder, withLock } from './cache.mjs';
import { ensureHostPackages, PYTHON } from './hostpackages.mjs';
import { runTool } from './process.mjs';
import { LabError, createReporter } from './report.mjs';
import { cachedSource, extractFromSource } from './source.mjs';

const SOURCE = 'linux-6.12';

const PROGRAM = 'tools/testing/selftests/net/ncdevmem.c';
const GENERATOR = 'tools/net/ynl/ynl-gen-c.py';
const LIBRARY = 'tools/net/ynl/lib';
const SPECIFICATION = 'Documentation/netlink/specs/netdev.yaml';
const UNIFDEF = 'scripts/unifdef';
const INSTALL = 'scripts/headers_install.sh';
/** What it uses of the kernel's interface that headers of distributions may lack. */
const HEADERS = ['linux/netdev.h', 'linux/uio.h', 'asm-generic/socket.h'];

/** All that is taken out of the source. */
const FILES = Object.freeze([
  ...[PROGRAM, GENERATOR, SPECIFICATION, `${UNIFDEF}.c`, INSTALL],
  ...['__init__.py', 'nlspec.py', 'ynl.py', 'ynl.c', 'ynl.h', 'ynl-priv.h'].map(
    (name) => `${LIBRARY}/${name}`,
  ),
  // What the specification is checked with.
  'Documentation/netlink/genetlink.yaml',
  ...HEADERS.map((name) => `include/uapi/${name}`),
]);

const home = () => join(cacheRoot(), 'ncdevmem');

/**
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<string>} its path
 * @throws {LabError}
 */
export async function ensureNcdevmem(reporter) {
  await ensureHostPackages(reporter, ['archive']);
  return withLock(join(home(), 'lock'), async () => {
    const folder = join(home(), recipeHash());
    if (!existsSync(folder)) {
      await ensureHostPackages(reporter, ['ncdevmem']);
      reporter.note(`building ncdevmem from the source of ${SOURCE}…`);
      await publishFolder(folder, (draft) => build(draft, reporter));
    }
    keepNewest(home(), 2);
    return join(folder, 'ncdevmem');
  });
}

/** Of how it is built: newer source makes no other program. */
function recipeHash() {
  const recipe = readFileSync(fileURLToPath(import.meta.url));
  return createHash('sha256').update(recipe).digest('hex').slice(0, 12);
}

/**
 * @param {string} draft
 * @param {import('./report.mjs').Reporter} reporter
 */
async function build(draft, reporter) {
  const tree = join(draft, 'source');
  mkdirSync(tree);
  await takeFiles(tree, reporter);
  await installHeaders(tree);
  await generateCode(tree);
  await compile(tree, join(draft, 'ncdevmem'));
  rmSync(tree, { recursive: true });
}

/**
 * @param {string} tree
 * @param {import('./report.mjs').Reporter} reporter
 */
async function takeFiles(tree, reporter) {
  const source = cachedSource(SOURCE);
  if (source === undefined) {
    reporter.note(`downloading the source of ${SOURCE} (150 MB, once)…`);
    await extractFromSource(SOURCE, FILES, tree, reporter);
  } else {
    await runTool('cp', ['--parents', ...FILES, tree], { cwd: source.folder });
  }
}

/** As `make headers` does, for those that are needed. */
async function installHeaders(/** @type {string} */ tree) {
  await runTool('gcc', ['-O1', '-o', UNIFDEF, `${UNIFDEF}.c`], { cwd: tree });
  for (const name of HEADERS) {
    const target = `headers/${name}`;
    mkdirSync(dirname(join(tree, target)), { recursive: true });
    await runTool('sh', [INSTALL, `include/uapi/${name}`, target], { cwd: tree });
  }
}

/** The netlink family's messages, from their specification. */
async function generateCode(/** @type {string} */ tree) {
  // By this file the generator knows the top of a source; without, it searches for ever.
  writeFileSync(join(tree, 'MAINTAINERS'), '');
  const options = ['--mode', 'user', '--spec', SPECIFICATION];
  for (const output of [
    ['--header', '-o', 'netdev-user.h'],
    ['--source', '-o', 'netdev-user.c'],
  ]) {
    const limits = { cwd: tree, timeoutSeconds: 120 };
    await runTool(PYTHON, [GENERATOR, ...options, ...output], limits);
  }
}

async function compile(/** @type {string} */ tree, /** @type {string} */ program) {
  const include = ['headers', '.', LIBRARY].map((folder) => `-I${folder}`);
  const sources = [PROGRAM, 'netdev-user.c', `${LIBRARY}/ynl.c`];
  await runTool('gcc', ['-O2', '-w', ...include, '-o', program, ...sources], { cwd: tree });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const reporter = createReporter();
  try {
    process.stdout.write(`${await ensureNcdevmem(reporter)}\n`);
  } catch (error) {
    if (!(error instanceof LabError)) throw error;
    reporter.alert(error.message);
    process.exitCode = error.status;
  }
}
