// @ts-check
/**
 * `npm run prebuild`: makes the binaries that the npm package carries,
 * prebuilds/linux-ARCH/devmem-tcp.LIBC.node.
 *
 *   npm run prebuild                                 for this machine
 *   npm run prebuild -- --all                        for all, as a release has them
 *   npm run prebuild -- --target linux-arm64-musl    for that (again: for several)
 *
 * Builds in a folder of its own, so that build/ stays as it is, and only where the sources
 * are newer than the binary (npm also runs this ahead of `npm run build`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { createReporter, LabError } from '../kernel/lab/report.mjs';
import { faultsOf } from './prebuild/inspect.mjs';
import { headers, hostTarget, prebuildOf, TARGETS } from './prebuild/targets.mjs';
import { ensureToolchain } from './prebuild/toolchain.mjs';

/** @typedef {import('./prebuild/targets.mjs').Target} Target */

const root = fileURLToPath(new URL('..', import.meta.url));
const reporter = createReporter({
  write: (text) => void process.stderr.write(text.replace(/^lab:/, 'prebuild:')),
});

/** @param {string} binary */
function isUpToDate(binary) {
  if (!existsSync(binary)) return false;
  const sources = ['src/native', 'scripts/prebuild'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(cc|h|mjs|map)$/.test(name))
      .map((name) => path.join(root, folder, name)),
  );
  const changed = Math.max(
    ...[...sources, path.join(root, 'binding.gyp')].map((file) => statSync(file).mtimeMs),
  );
  return statSync(binary).mtimeMs > changed;
}

/**
 * @param {Target} target
 * @throws {LabError} where it cannot be built, or is not fit to be shipped
 */
async function build(target) {
  const binary = path.join(root, prebuildOf(target));
  if (isUpToDate(binary)) {
    reporter.alert(`${prebuildOf(target)} is up to date`);
    return;
  }
  const toolchain = await ensureToolchain(target, reporter);
  rmSync(binary, { force: true });
  // Inside node_modules, where node-addon-api and node-gyp are found; just there, as gyp
  // puts Makefiles at node-addon-api's relative path from build/.
  const folder = mkdtempSync(path.join(root, 'node_modules', '.prebuild-'));
  try {
    for (const name of ['binding.gyp', 'src']) {
      symlinkSync(path.join(root, name), path.join(folder, name));
    }
    prebuildify(folder, target, toolchain);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const faults = await faultsOf(binary, target);
  if (faults.length === 0) return;
  rmSync(binary);
  throw new LabError(`${prebuildOf(target)} is not fit to be shipped: it ${faults.join(', ')}`);
}

/**
 * @param {string} folder holds what to build
 * @param {Target} target
 * @param {import('./prebuild/toolchain.mjs').Toolchain} toolchain
 */
function prebuildify(folder, { name, arch, libc }, toolchain) {
  const downloads = process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache');
  const args = [
    path.join(root, 'node_modules', 'prebuildify', 'bin.js'),
    ...['--napi', '--tag-libc', libc, '--name', 'devmem-tcp'],
    ...['--target', process.versions.node, '--arch', arch],
    ...['--cwd', folder, '--out', root, '--cache', path.join(downloads, 'devmem-tcp', 'headers')],
  ];
  const { status } = spawnSync(process.execPath, args, {
    env: { JOBS: 'max', ...headers(), ...process.env, ...toolchain },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new LabError(`${name} could not be built`, status ?? 1);
}

/** @returns {readonly Target[]} */
function chosen() {
  const names = TARGETS.map(({ name }) => name).join(', ');
  const { values } = parseArgs({
    options: { all: { type: 'boolean' }, target: { type: 'string', multiple: true } },
  });
  if (values.all === true) return TARGETS;
  if (values.target === undefined) {
    const host = hostTarget();
    if (host === undefined) throw new LabError(`binaries are for ${names}, not for this machine`);
    return [host];
  }
  return values.target.map((wanted) => {
    const target = TARGETS.find(({ name }) => name === wanted);
    if (target === undefined) throw new LabError(`--target is one of ${names}, not '${wanted}'`);
    return target;
  });
}

async function main() {
  if (process.platform !== 'linux') {
    reporter.alert('only Linux has an addon to build');
    return;
  }
  for (const target of chosen()) await build(target);
}

try {
  await main();
} catch (error) {
  const known = error instanceof LabError || (error instanceof TypeError && 'code' in error);
  if (!known) throw error;
  reporter.alert(error.message);
  process.exitCode = error instanceof LabError ? error.status : 1;
}
