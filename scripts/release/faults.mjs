// @ts-check
/** What keeps a version from being published. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { prebuildOf, TARGETS } from '../prebuild/targets.mjs';
import { otherVersions } from './version.mjs';

/** @typedef {{ version: string, repository?: unknown }} Manifest */

/**
 * @param {string} root of the working tree
 * @returns {string[]} one for each, in words
 */
export function releaseFaults(root) {
  /** @param {string} name */
  const text = (name) => readFileSync(path.join(root, name), 'utf8');
  const manifest = /** @type {Manifest} */ (JSON.parse(text('package.json')));
  const faults = TARGETS.map(prebuildOf)
    .filter((file) => !existsSync(path.join(root, file)))
    .map((file) => `${file} is missing: 'npm run prebuild -- --all'`);
  for (const file of otherVersions(root)) {
    faults.push(`${file} tells another version: 'npm run release:version'`);
  }
  if (!text('CHANGELOG.md').includes(`\n## ${manifest.version}`)) {
    faults.push(`CHANGELOG.md has no notes of ${manifest.version}: 'npm run release:version'`);
  }
  if (manifest.repository === undefined) {
    faults.push('package.json has no repository: see "Releasing" in CONTRIBUTING.md');
  }
  return faults;
}
