// @ts-check
/**
 * Kernel sources in the cache, as Debian ships them:
 *
 *     sources/NAME/VERSION/    the unpacked tree; never changed, builds link to its files
 *     sources/NAME/current -> VERSION
 */
import { existsSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

import { PrivateApt } from './apt.mjs';
import { cacheRoot, keepNewest, publishFolder, withLock } from './cache.mjs';
import { KERNEL_SOURCES, hostArchitecture } from './kernels.mjs';
import { pointTo } from './layout.mjs';
import { runTool } from './process.mjs';
import { LabError, messageOf } from './report.mjs';

/** A fifth of the source: register tables of a GPU driver that no kernel of the lab contains. */
const LEFT_OUT = 'linux-source-*/drivers/gpu/drm/amd/include';

/**
 * @typedef {object} Source
 * @property {string} version  of the package
 * @property {string} folder
 */

/**
 * The source of a line. One that is in the cache stays until `update` is asked for:
 * a newer one means that every kernel of the line has to be built anew.
 *
 * @param {string} name of `KERNEL_SOURCES`
 * @param {{ update: boolean, reporter: import('./report.mjs').Reporter }} options
 * @returns {Promise<Source>}
 */
export async function ensureSource(name, { update, reporter }) {
  const home = sourceHome(name);
  const cached = cachedSource(name);
  if (cached && !update) return cached;
  try {
    const archive = await openArchive(name, reporter);
    const folder = join(home, archive.version);
    if (!existsSync(folder)) {
      reporter.note(`downloading the source of ${name}, ${archive.version} (150 MB)…`);
      await publishFolder(folder, (draft) => archive.unpack(draft, [`--exclude=${LEFT_OUT}`]));
    }
    pointTo(home, archive.version);
    keepNewest(home, 1);
    return { version: archive.version, folder };
  } catch (error) {
    if (!cached) throw error;
    const reason = messageOf(error).split('\n')[0];
    reporter.alert(`the source of ${name} is the cached one; no newer one to be had: ${reason}`);
    return cached;
  }
}

/**
 * Keeps the source where it is while `body` reads it.
 *
 * @template T
 * @param {string} name of `KERNEL_SOURCES`
 * @param {() => Promise<T>} body
 * @param {import('./report.mjs').Reporter} reporter
 * @returns {Promise<T>}
 */
export const withSourceLock = (name, body, reporter) =>
  withLock(join(sourceHome(name), 'lock'), body, () =>
    reporter.note(`waiting for another lab that uses the source of ${name}…`),
  );

/**
 * Takes single files out of the newest source without keeping the rest.
 *
 * @param {string} name of `KERNEL_SOURCES`
 * @param {readonly string[]} files by their paths in the source
 * @param {string} into where they appear under these paths
 * @param {import('./report.mjs').Reporter} reporter
 */
export async function extractFromSource(name, files, into, reporter) {
  const archive = await openArchive(name, reporter);
  await archive.unpack(into, ['--wildcards', ...files.map((file) => `linux-source-*/${file}`)]);
}

/** @param {string} name */
const sourceHome = (name) => join(cacheRoot(), 'sources', name);

/**
 * @param {string} name of `KERNEL_SOURCES`
 * @returns {Source | undefined} the one in the cache
 */
export function cachedSource(name) {
  const home = sourceHome(name);
  if (!existsSync(join(home, 'current', 'Makefile'))) return undefined;
  const version = readlinkSync(join(home, 'current'));
  return { version, folder: join(home, version) };
}

/**
 * @param {string} name
 * @param {import('./report.mjs').Reporter} reporter
 */
async function openArchive(name, reporter) {
  const source = KERNEL_SOURCES[name];
  if (!source) throw new LabError(`no kernel source is called ${name}`);
  const apt = new PrivateApt({
    folder: join(cacheRoot(), 'apt', name),
    suites: source.suites,
    architecture: hostArchitecture().debian,
  });
  reporter.note(`looking for the newest ${source.package}…`);
  await apt.update();
  const version = (await apt.versions([source.package])).get(source.package);
  if (version === undefined)
    throw new LabError(`no ${source.package} in ${source.suites.join(', ')}`);

  return {
    version,
    /**
     * @param {string} into     becomes the top folder of the source
     * @param {string[]} choice tar's options that say which files
     */
    async unpack(into, choice) {
      const unpacked = join(into, '.package');
      mkdirSync(unpacked);
      await apt.unpack([`${source.package}=${version}`], unpacked);
      const places = join(unpacked, 'usr/src');
      const tarball = readdirSync(places).find((file) => /^linux-source-.*\.tar\.\w+$/.test(file));
      if (tarball === undefined) throw new LabError(`${source.package} holds no source`);
      const what = ['--extract', `--file=${join(places, tarball)}`, `--directory=${into}`];
      await runTool('tar', [...what, '--strip-components=1', '--no-same-owner', ...choice]);
      await runTool('rm', ['-r', unpacked]);
    },
  };
}
