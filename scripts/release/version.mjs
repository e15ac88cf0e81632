// @ts-check
/** The version in the sources: what a bundle, and a binary beside it, know of themselves. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @type {readonly [file: string, declaration: RegExp][]} */
const PLACES = [
  ['src/ts/version.ts', /(?<=VERSION = ')[^']*(?=')/],
  ['src/native/version.h', /(?<=kVersion\[\] = ")[^"]*(?=")/],
];

/**
 * @param {string} root of the working tree
 * @returns {string[]} the files that tell another version than package.json
 */
export function otherVersions(root) {
  const version = versionOf(root);
  return PLACES.filter(([file, declaration]) => {
    const [told] = declaration.exec(readFileSync(path.join(root, file), 'utf8')) ?? [];
    return told !== version;
  }).map(([file]) => file);
}

/** @param {string} root of the working tree */
export function writeVersion(root) {
  const version = versionOf(root);
  for (const [name, declaration] of PLACES) {
    const file = path.join(root, name);
    writeFileSync(file, readFileSync(file, 'utf8').replace(declaration, version));
  }
}

/** @param {string} root */
function versionOf(root) {
  const text = readFileSync(path.join(root, 'package.json'), 'utf8');
  const manifest = /** @type {{ version: string }} */ (JSON.parse(text));
  return manifest.version;
}
