// @ts-check
/**
 * How a kernel lies in the cache, wherever it came from:
 *
 *     kernels/NAME/VERSION/   vmlinuz, config, release, lib/modules/RELEASE/, headers/RELEASE/
 *     kernels/NAME/current -> VERSION
 */
import { existsSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';

import { cacheRoot } from './cache.mjs';

/** How many versions of a kernel stay in the cache: some 200 MiB each. */
export const KEPT_VERSIONS = 2;

/**
 * @typedef {object} Kernel
 * @property {string} name      e.g. debian-6.12
 * @property {string} version   the folder's name: the package version, or a hash of a build
 * @property {string} release   `uname -r`
 * @property {string} folder
 * @property {string} vmlinuz
 * @property {string} config
 * @property {string} modules   lib/modules/RELEASE
 * @property {string} headers   for `make -C`
 */

/**
 * @param {string} name
 * @returns {string} the folder of all versions of a kernel
 */
export const kernelHome = (name) => join(cacheRoot(), 'kernels', name);

/**
 * @param {string} home
 * @returns {Kernel | undefined} what `current` points to
 */
export function cachedKernel(home) {
  const current = join(home, 'current');
  if (!existsSync(join(current, 'release'))) return undefined;
  // Links must hold a plain name: whoever moves the cache moves them along.
  const version = readlinkSync(current);
  const folder = join(home, version);
  const release = readFileSync(join(folder, 'release'), 'utf8').trim();
  return {
    name: basename(home),
    version,
    release,
    folder,
    vmlinuz: join(folder, 'vmlinuz'),
    config: join(folder, 'config'),
    modules: join(folder, 'lib/modules', release),
    headers: join(folder, 'headers', release),
  };
}

/**
 * Moves `current` to a version, at no moment pointing nowhere.
 *
 * @param {string} home
 * @param {string} version
 */
export function pointTo(home, version) {
  const draft = join(home, `.current.${process.pid}`);
  rmSync(draft, { force: true });
  symlinkSync(version, draft);
  renameSync(draft, join(home, 'current'));
}
